//! **Who may do what**: every act of the control plane, and the one table of roles against them.
//!
//! An act's name is also its name in the audit trail. Nothing here asks for a resource: within an
//! installation an administrator's role counts for all of it.

use crate::actor::{Actor, Role};

/// The least role that may do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Every administrator: it reads, and no secret is in what it reads.
    Everyone,
    /// Operators and owners.
    Operators,
    /// Owners alone: who could make more owners, or tokens without a record.
    Owners,
    /// The process itself, whatever an administrator's role.
    System,
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = ($text:literal, $reach:ident),)*) => {
        /// Something that can be done to what is declared, issued or recorded.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Action { $($(#[$doc])* $name,)* }
        impl Action {
            /// Every act, for docs and tests to walk.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
            /// Its name in the audit trail: `<what>.<act>`, stable.
            pub fn name(self) -> &'static str { match self { $(Self::$name => $text,)* } }
            fn reach(self) -> Reach { match self { $(Self::$name => Reach::$reach,)* } }
        }
    };
}

actions! {
    /// Read APIs, applications, clients, accounts, people, trusted issuers.
    ResourceRead = ("resource.read", Everyone),
    /// Write one of them.
    ResourceWrite = ("resource.write", Operators),
    /// Remove one of them.
    ResourceDelete = ("resource.delete", Operators),
    /// Apply a plan of documents.
    Apply = ("apply.execute", Operators),
    /// List API keys (never their secrets).
    ApiKeyRead = ("api_key.read", Everyone),
    /// Issue an API key.
    ApiKeyCreate = ("api_key.create", Operators),
    /// Bring in a foreign key by its hash.
    ApiKeyImport = ("api_key.import", Operators),
    /// Change label, grant or expiry.
    ApiKeyAmend = ("api_key.amend", Operators),
    /// Put to sleep.
    ApiKeySuspend = ("api_key.suspend", Operators),
    /// Wake up.
    ApiKeyResume = ("api_key.resume", Operators),
    /// Replace, with an overlap.
    ApiKeyRotate = ("api_key.rotate", Operators),
    /// End for good.
    ApiKeyRevoke = ("api_key.revoke", Operators),
    /// List clients' secrets (never in clear).
    ClientSecretRead = ("client_secret.read", Everyone),
    /// Issue a client's secret.
    ClientSecretCreate = ("client_secret.create", Operators),
    /// Change label or expiry.
    ClientSecretAmend = ("client_secret.amend", Operators),
    /// Put to sleep.
    ClientSecretSuspend = ("client_secret.suspend", Operators),
    /// Wake up.
    ClientSecretResume = ("client_secret.resume", Operators),
    /// Replace, with an overlap.
    ClientSecretRotate = ("client_secret.rotate", Operators),
    /// End for good.
    ClientSecretRevoke = ("client_secret.revoke", Operators),
    /// List accounts' passwords (their lives, never what they are).
    PasswordRead = ("password.read", Everyone),
    /// Give an account a password.
    PasswordCreate = ("password.create", Operators),
    /// Change label or expiry.
    PasswordAmend = ("password.amend", Operators),
    /// Put to sleep.
    PasswordSuspend = ("password.suspend", Operators),
    /// Wake up.
    PasswordResume = ("password.resume", Operators),
    /// Replace, with an overlap.
    PasswordRotate = ("password.rotate", Operators),
    /// End for good.
    PasswordRevoke = ("password.revoke", Operators),
    /// Refuse a client with its tokens and the calls that it signs.
    ClientSuspend = ("client.suspend", Operators),
    /// Take a suspended client again.
    ClientResume = ("client.resume", Operators),
    /// Refuse a service account.
    AccountSuspend = ("account.suspend", Operators),
    /// Take a suspended service account again.
    AccountResume = ("account.resume", Operators),
    /// Keep a person from logging in.
    UserSuspend = ("user.suspend", Operators),
    /// Let a person log in again.
    UserResume = ("user.resume", Operators),
    /// List people's passwords (their lives, never what they are).
    UserPasswordRead = ("user_password.read", Everyone),
    /// Give a person a password.
    UserPasswordCreate = ("user_password.create", Operators),
    /// Change label or expiry.
    UserPasswordAmend = ("user_password.amend", Operators),
    /// Put to sleep.
    UserPasswordSuspend = ("user_password.suspend", Operators),
    /// Wake up.
    UserPasswordResume = ("user_password.resume", Operators),
    /// Replace, with an overlap.
    UserPasswordRotate = ("user_password.rotate", Operators),
    /// End for good.
    UserPasswordRevoke = ("user_password.revoke", Operators),
    /// List administrators' keys.
    AdminKeyRead = ("admin_key.read", Everyone),
    /// Make an administrator.
    AdminKeyCreate = ("admin_key.create", Owners),
    /// Change an administrator's label, role or expiry.
    AdminKeyAmend = ("admin_key.amend", Owners),
    /// Put an administrator to sleep.
    AdminKeySuspend = ("admin_key.suspend", Owners),
    /// Wake an administrator up.
    AdminKeyResume = ("admin_key.resume", Owners),
    /// Replace an administrator's key.
    AdminKeyRotate = ("admin_key.rotate", Owners),
    /// End an administrator's key.
    AdminKeyRevoke = ("admin_key.revoke", Owners),
    /// Make the very first administrator's key, on first start.
    AdminKeyBootstrap = ("admin_key.bootstrap", System),
    /// List tokens of client registration (never in clear).
    RegistrationTokenRead = ("registration_token.read", Everyone),
    /// Let somebody register clients, or manage the one that was registered.
    RegistrationTokenCreate = ("registration_token.create", Operators),
    /// Change label or expiry.
    RegistrationTokenAmend = ("registration_token.amend", Operators),
    /// Put to sleep.
    RegistrationTokenSuspend = ("registration_token.suspend", Operators),
    /// Wake up.
    RegistrationTokenResume = ("registration_token.resume", Operators),
    /// Replace, with an overlap.
    RegistrationTokenRotate = ("registration_token.rotate", Operators),
    /// End for good.
    RegistrationTokenRevoke = ("registration_token.revoke", Operators),
    /// Spend one of an initial access token's uses: whoever registers a client does.
    RegistrationTokenUse = ("registration_token.use", System),
    /// List what requests are signed with (never secrets).
    SigningSecretRead = ("signing_secret.read", Everyone),
    /// Make a secret that requests are signed with, or register a public key.
    SigningSecretCreate = ("signing_secret.create", Operators),
    /// Bring in a secret that somebody else made.
    SigningSecretImport = ("signing_secret.import", Operators),
    /// Change label, grant or expiry.
    SigningSecretAmend = ("signing_secret.amend", Operators),
    /// Put to sleep.
    SigningSecretSuspend = ("signing_secret.suspend", Operators),
    /// Wake up.
    SigningSecretResume = ("signing_secret.resume", Operators),
    /// Add another secret or public key; those before end after an overlap.
    SigningSecretRotate = ("signing_secret.rotate", Operators),
    /// End for good.
    SigningSecretRevoke = ("signing_secret.revoke", Operators),
    /// Seal secrets under a new master key.
    SigningSecretReseal = ("signing_secret.reseal", System),
    /// List outgoing messages, and show what they say.
    WebhookRead = ("webhook.read", Everyone),
    /// Hand in a message for an endpoint.
    WebhookSend = ("webhook.send", Operators),
    /// Send messages again.
    WebhookRetry = ("webhook.retry", Operators),
    /// Drop messages that were not delivered.
    WebhookDrop = ("webhook.drop", Operators),
    /// Send to an endpoint again that was disabled.
    WebhookEnable = ("webhook.enable", Operators),
    /// Send nothing to an endpoint any more.
    WebhookDisable = ("webhook.disable", Operators),
    /// Give a message up after its last try.
    WebhookDead = ("webhook.dead", System),
    /// List signing keys (their public halves).
    SigningKeyRead = ("signing_key.read", Everyone),
    /// Publish, activate, rotate signing keys.
    SigningKeyRotate = ("signing_key.rotate", Owners),
    /// Take a signing key out of the key set.
    SigningKeyRetire = ("signing_key.retire", Owners),
    /// Revoke a token, or all of a client.
    TokenRevoke = ("token.revoke", Operators),
    /// Read who has what to do with which object, and ask what follows from it.
    RelationRead = ("relation.read", Everyone),
    /// Write down that somebody has something to do with an object.
    RelationAdd = ("relation.add", Operators),
    /// Take that back.
    RelationRemove = ("relation.remove", Operators),
    /// List what people allowed clients.
    GrantRead = ("grant.read", Everyone),
    /// End what a person allowed a client, with every token of it.
    GrantEnd = ("grant.end", Operators),
    /// List people's sessions.
    SessionRead = ("session.read", Everyone),
    /// End a person's session.
    SessionEnd = ("session.end", Operators),
    /// Mint a token by hand, for debugging.
    TokenMint = ("token.mint", Owners),
    /// Read and verify the audit trail.
    AuditRead = ("audit.read", Everyone),
    /// Read the decision log.
    DecisionRead = ("decision.read", Everyone),
    /// Have it explained how a call would be judged; its credential comes along.
    CallExplain = ("call.explain", Operators),
    /// Have recorded calls judged again, as documents would have it.
    CallReplay = ("call.replay", Operators),
    /// Read usage figures.
    UsageRead = ("usage.read", Everyone),
    /// Read the effective settings, secrets masked.
    SettingsRead = ("settings.read", Everyone),
    /// Have the settings read again.
    SettingsReload = ("settings.reload", Operators),
    /// The process started or ended.
    ProcessNote = ("process.note", System),
    /// An administrator was refused something.
    Refused = ("access.refused", System),
}

impl Action {
    /// Whether the role may do it.
    pub fn allows(self, role: Role) -> bool {
        match self.reach() {
            Reach::Everyone => true,
            Reach::Operators => matches!(role, Role::Owner | Role::Operator),
            Reach::Owners => matches!(role, Role::Owner),
            Reach::System => false,
        }
    }

    /// Whether the actor may do it. The process may do everything; a registrant what its own client
    /// needs ([`crate::usecase::registration`] sees to it that it is its own).
    pub fn allows_actor(self, actor: &Actor) -> bool {
        match actor {
            Actor::System { .. } => true,
            Actor::Registrant { .. } => matches!(
                self,
                Self::ResourceRead
                    | Self::ResourceWrite
                    | Self::ResourceDelete
                    | Self::ClientSecretCreate
                    | Self::ClientSecretRevoke
                    | Self::RegistrationTokenCreate
                    | Self::RegistrationTokenRotate
                    | Self::RegistrationTokenRevoke
                    | Self::RegistrationTokenUse
            ),
            Actor::Administrator { role, .. } => self.allows(*role),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_do_what_is_this_table() {
        let mut table = format!("{:<28}", "action");
        for role in Role::ALL {
            table.push_str(&format!("{:<10}", role.name()));
        }
        for action in Action::ALL {
            table.push_str(&format!("\n{:<28}", action.name()));
            for role in Role::ALL {
                table.push_str(&format!(
                    "{:<10}",
                    if action.allows(role) { "yes" } else { "-" }
                ));
            }
        }
        let table: String = table
            .lines()
            .map(|line| format!("{}\n", line.trim_end()))
            .collect();
        insta::assert_snapshot!(table);
    }

    #[test]
    fn an_auditor_changes_nothing() {
        let reads = |action: &&Action| action.name().ends_with(".read");
        let allowed: Vec<_> = Action::ALL
            .iter()
            .filter(|a| a.allows(Role::Auditor))
            .collect();
        let reading: Vec<_> = Action::ALL.iter().filter(reads).collect();
        assert_eq!(allowed, reading);
    }

    #[test]
    fn names_are_not_shared() {
        let mut names: Vec<_> = Action::ALL.iter().map(|action| action.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Action::ALL.len());
    }
}
