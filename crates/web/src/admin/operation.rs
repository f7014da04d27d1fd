//! **What the admin API can do**: one list, from which routes, the declaration that the gateway
//! enforces, the OpenAPI document and the golden table of roles are all made. What is not in it can
//! not be called.

use http::{Method, StatusCode};
use registry::access::Action;
use registry::resource::ResourceKind;
use registry::usecase::credential::Family;
use registry::usecase::suspension::Party;

/// One operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// How the process is, and who asks.
    Status,
    /// The settings in force, secrets masked.
    Settings,
    /// This API as an OpenAPI document.
    OpenApi,
    /// Applies documents, or plans to.
    Apply,
    /// All that is declared, as documents.
    Export,
    /// Something about resources of a kind.
    Resource(ResourceKind, ResourceAct),
    /// Something about credentials of a family.
    Credential(Family, CredentialAct),
    /// Something about messages for endpoints of others.
    Webhook(WebhookAct),
    /// Suspends a client, an account or a person.
    Suspend(Party),
    /// Takes a suspended one again.
    Resume(Party),
    /// Brings in a foreign API key by its hash.
    ImportKey,
    /// Lists signing keys.
    SigningKeys,
    /// Publishes the next signing key.
    RotateSigningKey,
    /// Revokes tokens.
    RevokeTokens,
    /// Lists who has what to do with which object.
    Relations,
    /// Writes that down, or takes it back.
    WriteRelations,
    /// Lists what of it counts for nothing.
    LeftOverRelations,
    /// Asks whether somebody has something to do with an object.
    CheckRelations,
    /// Asks with which objects somebody has something to do.
    ListObjects,
    /// Asks who has something to do with an object.
    ListSubjects,
    /// Asks how that comes about.
    ExpandRelation,
    /// Lists what people allowed clients.
    Grants,
    /// Ends it.
    EndGrants,
    /// Lists people's sessions.
    Sessions,
    /// Ends them.
    EndSessions,
    /// Reads the audit trail.
    Audit,
    /// Checks the audit trail.
    VerifyAudit,
    /// Lists the audit trail's checkpoints.
    Checkpoints,
    /// Reads the decision log.
    Decisions,
    /// Reads one entry of it.
    Decision,
    /// Lists what was used of late.
    Usage,
    /// Tells how a call would be judged.
    Explain,
    /// Judges recorded calls again, as documents would have it.
    Replay,
}

/// What can be done with resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceAct {
    /// Lists all of a kind.
    List,
    /// Shows one.
    Show,
    /// Writes one.
    Put,
    /// Removes one.
    Delete,
    /// Lists what one said at its last versions.
    Versions,
    /// Writes again what one said at an earlier version.
    RollBack,
}

impl ResourceAct {
    /// Every act.
    pub const ALL: [Self; 6] = [
        Self::List,
        Self::Show,
        Self::Put,
        Self::Delete,
        Self::Versions,
        Self::RollBack,
    ];
    fn verb(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Show => "show",
            Self::Put => "put",
            Self::Delete => "delete",
            Self::Versions => "list-versions-of",
            Self::RollBack => "roll-back",
        }
    }
}

/// What can be done with credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialAct {
    /// Lists them.
    List,
    /// Makes one.
    Create,
    /// Shows one.
    Show,
    /// Changes one.
    Amend,
    /// Puts one to sleep.
    Suspend,
    /// Wakes one up.
    Resume,
    /// Replaces one, with an overlap.
    Rotate,
    /// Ends one.
    Revoke,
    /// Shows the calls with one.
    Usage,
}

impl CredentialAct {
    /// Every act.
    pub const ALL: [Self; 9] = [
        Self::List,
        Self::Create,
        Self::Show,
        Self::Amend,
        Self::Suspend,
        Self::Resume,
        Self::Rotate,
        Self::Revoke,
        Self::Usage,
    ];
    /// Whether it exists for a family. What people log in with and what registers clients calls no
    /// API, and is not counted.
    fn is_of(self, family: Family) -> bool {
        let counted = match family {
            Family::ApiKey
            | Family::AdminKey
            | Family::SigningSecret
            | Family::Password
            | Family::ClientSecret => true,
            Family::UserPassword | Family::RegistrationToken => false,
        };
        self != Self::Usage || counted
    }
    fn verb(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Create => "create",
            Self::Show => "show",
            Self::Amend => "amend",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Rotate => "rotate",
            Self::Revoke => "revoke",
            Self::Usage => "usage",
        }
    }
}

/// What can be done with messages for endpoints of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookAct {
    /// Hands one in.
    Send,
    /// Shows how the endpoints are.
    Status,
    /// Sends to an endpoint again.
    Enable,
    /// Sends nothing to an endpoint any more.
    Disable,
    /// Sends every dead letter of an endpoint again.
    RetryDead,
    /// Drops every dead letter of an endpoint.
    DropDead,
    /// Lists messages.
    List,
    /// Shows one.
    Show,
    /// Sends one again.
    Retry,
    /// Drops one.
    Drop,
}

impl WebhookAct {
    /// Every act.
    pub const ALL: [Self; 10] = [
        Self::Send,
        Self::Status,
        Self::Enable,
        Self::Disable,
        Self::RetryDead,
        Self::DropDead,
        Self::List,
        Self::Show,
        Self::Retry,
        Self::Drop,
    ];
    /// Whether it changes something.
    pub(super) fn is_post(self) -> bool {
        !matches!(self, Self::Status | Self::List | Self::Show)
    }
    fn path(self) -> &'static str {
        match self {
            Self::Send => "/v1/webhooks/{name}/messages",
            Self::Status => "/v1/webhook-status",
            Self::Enable => "/v1/webhooks/{name}/enable",
            Self::Disable => "/v1/webhooks/{name}/disable",
            Self::RetryDead => "/v1/webhooks/{name}/retry-dead",
            Self::DropDead => "/v1/webhooks/{name}/drop-dead",
            Self::List => "/v1/webhook-messages",
            Self::Show => "/v1/webhook-messages/{id}",
            Self::Retry => "/v1/webhook-messages/{id}/retry",
            Self::Drop => "/v1/webhook-messages/{id}/drop",
        }
    }
    fn id(self) -> &'static str {
        match self {
            Self::Send => "send-webhook-message",
            Self::Status => "webhook-status",
            Self::Enable => "enable-webhook",
            Self::Disable => "disable-webhook",
            Self::RetryDead => "retry-dead-webhook-messages",
            Self::DropDead => "drop-dead-webhook-messages",
            Self::List => "list-webhook-messages",
            Self::Show => "show-webhook-message",
            Self::Retry => "retry-webhook-message",
            Self::Drop => "drop-webhook-message",
        }
    }
    fn summary(self) -> &'static str {
        match self {
            Self::Send => "Hands in a message for an endpoint; it is sent until it is taken.",
            Self::Status => "Shows which endpoints are enabled, and what waits for them.",
            Self::Enable => "Sends to a disabled endpoint again.",
            Self::Disable => "Sends nothing to an endpoint any more; what waits goes on waiting.",
            Self::RetryDead => "Sends every dead letter of an endpoint again.",
            Self::DropDead => "Drops every dead letter of an endpoint.",
            Self::List => "Lists messages for endpoints, the newest first.",
            Self::Show => "Shows one message with what it says.",
            Self::Retry => "Sends one message again, whatever became of it.",
            Self::Drop => "Drops one message, whatever became of it.",
        }
    }
    fn action(self) -> Action {
        match self {
            Self::Send => Action::WebhookSend,
            Self::Status | Self::List | Self::Show => Action::WebhookRead,
            Self::Enable => Action::WebhookEnable,
            Self::Disable => Action::WebhookDisable,
            Self::RetryDead | Self::Retry => Action::WebhookRetry,
            Self::DropDead | Self::Drop => Action::WebhookDrop,
        }
    }
}

/// The collection of a kind of resources, as paths name it.
pub fn collection(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::Api => "apis",
        ResourceKind::Application => "applications",
        ResourceKind::Client => "clients",
        ResourceKind::Account => "accounts",
        ResourceKind::User => "users",
        ResourceKind::TrustedIssuer => "issuers",
        ResourceKind::RelationModel => "relation-models",
        ResourceKind::Policy => "policies",
        ResourceKind::WebhookEndpoint => "webhooks",
    }
}

/// The path of a family's collection.
fn family_path(family: Family) -> &'static str {
    match family {
        Family::ApiKey => "/v1/keys",
        Family::ClientSecret => "/v1/clients/{name}/secrets",
        Family::Password => "/v1/accounts/{name}/passwords",
        Family::UserPassword => "/v1/users/{name}/passwords",
        Family::AdminKey => "/v1/admin-keys",
        Family::RegistrationToken => "/v1/registration-tokens",
        Family::SigningSecret => "/v1/signing-secrets",
    }
}

/// Query parameters of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QueryForm {
    /// None.
    None,
    /// [`super::view::CredentialQuery`].
    Credentials,
    /// [`super::view::UsageQuery`].
    Usage,
    /// [`super::view::UsedQuery`].
    Used,
    /// [`super::view::AuditQuery`].
    Audit,
    /// [`super::view::DecisionQuery`].
    Decisions,
    /// [`super::view::VersionQuery`].
    Version,
    /// [`super::view::ExportQuery`].
    Export,
    /// [`super::view::FlowQuery`].
    Flows,
    /// [`super::view::RelationQuery`].
    Relations,
    /// [`super::view::WebhookQuery`].
    Webhooks,
}

impl Operation {
    /// Every operation.
    pub fn all() -> Vec<Self> {
        let mut all = vec![
            Self::Status,
            Self::Settings,
            Self::OpenApi,
            Self::Apply,
            Self::Export,
        ];
        for kind in ResourceKind::ALL {
            all.extend(ResourceAct::ALL.map(|act| Self::Resource(kind, act)));
        }
        for family in Family::ALL {
            let acts = CredentialAct::ALL
                .into_iter()
                .filter(|act| act.is_of(family));
            all.extend(acts.map(|act| Self::Credential(family, act)));
        }
        all.extend(WebhookAct::ALL.map(Self::Webhook));
        all.extend(Party::ALL.map(Self::Suspend));
        all.extend(Party::ALL.map(Self::Resume));
        all.extend([
            Self::ImportKey,
            Self::SigningKeys,
            Self::RotateSigningKey,
            Self::RevokeTokens,
            Self::Relations,
            Self::WriteRelations,
            Self::LeftOverRelations,
            Self::CheckRelations,
            Self::ListObjects,
            Self::ListSubjects,
            Self::ExpandRelation,
            Self::Grants,
            Self::EndGrants,
            Self::Sessions,
            Self::EndSessions,
            Self::Audit,
            Self::VerifyAudit,
            Self::Checkpoints,
            Self::Decisions,
            Self::Decision,
            Self::Usage,
            Self::Explain,
            Self::Replay,
        ]);
        all
    }

    /// Its method.
    pub fn method(self) -> Method {
        use CredentialAct as C;
        use ResourceAct as R;
        match self {
            Self::Webhook(act) if act.is_post() => Method::POST,
            Self::Webhook(_)
            | Self::Status
            | Self::Settings
            | Self::OpenApi
            | Self::Export
            | Self::SigningKeys
            | Self::Relations
            | Self::LeftOverRelations
            | Self::Grants
            | Self::Sessions
            | Self::Audit
            | Self::VerifyAudit
            | Self::Checkpoints
            | Self::Decisions
            | Self::Decision
            | Self::Usage
            | Self::Resource(_, R::List | R::Show | R::Versions)
            | Self::Credential(_, C::List | C::Show | C::Usage) => Method::GET,
            Self::Resource(_, R::Put) => Method::PUT,
            Self::Resource(_, R::Delete) => Method::DELETE,
            Self::Credential(_, C::Amend) => Method::PATCH,
            Self::Apply
            | Self::Explain
            | Self::Replay
            | Self::Resource(_, R::RollBack)
            | Self::Suspend(_)
            | Self::Resume(_)
            | Self::ImportKey
            | Self::RotateSigningKey
            | Self::RevokeTokens
            | Self::WriteRelations
            | Self::CheckRelations
            | Self::ListObjects
            | Self::ListSubjects
            | Self::ExpandRelation
            | Self::EndGrants
            | Self::EndSessions
            | Self::Credential(_, C::Create | C::Suspend | C::Resume | C::Rotate | C::Revoke) => {
                Method::POST
            }
        }
    }

    /// Its path template; parameters are `{name}` (a resource) and `{id}` (a credential).
    pub fn path(self) -> String {
        use CredentialAct as C;
        let fixed = match self {
            Self::Status => "/v1/status",
            Self::Settings => "/v1/settings",
            Self::OpenApi => "/v1/openapi.json",
            Self::Apply => "/v1/apply",
            Self::Export => "/v1/export",
            Self::Webhook(act) => act.path(),
            Self::Suspend(party) => {
                return format!("/v1/{}/{{name}}/suspend", collection(party.kind()));
            }
            Self::Resume(party) => {
                return format!("/v1/{}/{{name}}/resume", collection(party.kind()));
            }
            Self::ImportKey => "/v1/keys/import",
            Self::SigningKeys => "/v1/signing-keys",
            Self::RotateSigningKey => "/v1/signing-keys/rotate",
            Self::RevokeTokens => "/v1/tokens/revoke",
            Self::Relations | Self::WriteRelations => "/v1/relations",
            Self::LeftOverRelations => "/v1/relations/left-over",
            Self::CheckRelations => "/v1/relations/check",
            Self::ListObjects => "/v1/relations/list-objects",
            Self::ListSubjects => "/v1/relations/list-subjects",
            Self::ExpandRelation => "/v1/relations/expand",
            Self::Grants => "/v1/grants",
            Self::EndGrants => "/v1/grants/end",
            Self::Sessions => "/v1/sessions",
            Self::EndSessions => "/v1/sessions/end",
            Self::Audit => "/v1/audit",
            Self::VerifyAudit => "/v1/audit/verify",
            Self::Checkpoints => "/v1/audit/checkpoints",
            Self::Decisions => "/v1/decisions",
            Self::Decision => "/v1/decisions/{id}",
            Self::Usage => "/v1/usage",
            Self::Explain => "/v1/explain",
            Self::Replay => "/v1/replay",
            Self::Resource(kind, ResourceAct::List) => return format!("/v1/{}", collection(kind)),
            Self::Resource(kind, ResourceAct::Versions) => {
                return format!("/v1/{}/{{name}}/versions", collection(kind));
            }
            Self::Resource(kind, ResourceAct::RollBack) => {
                return format!("/v1/{}/{{name}}/roll-back", collection(kind));
            }
            Self::Resource(kind, _) => return format!("/v1/{}/{{name}}", collection(kind)),
            Self::Credential(family, C::List | C::Create) => family_path(family),
            Self::Credential(family, C::Show | C::Amend) => {
                return format!("{}/{{id}}", family_path(family));
            }
            Self::Credential(family, act) => {
                return format!("{}/{{id}}/{}", family_path(family), act.verb());
            }
        };
        fixed.to_owned()
    }

    /// Its name: the route's in the decision log, `operationId` in the OpenAPI document.
    pub fn id(self) -> String {
        let fixed = match self {
            Self::Status => "status",
            Self::Settings => "settings",
            Self::OpenApi => "openapi",
            Self::Apply => "apply",
            Self::Export => "export",
            Self::Webhook(act) => act.id(),
            Self::Suspend(Party::Client) => "suspend-client",
            Self::Suspend(Party::Account) => "suspend-account",
            Self::Suspend(Party::User) => "suspend-user",
            Self::Resume(Party::Client) => "resume-client",
            Self::Resume(Party::Account) => "resume-account",
            Self::Resume(Party::User) => "resume-user",
            Self::ImportKey => "import-api-key",
            Self::SigningKeys => "list-signing-key",
            Self::RotateSigningKey => "rotate-signing-key",
            Self::RevokeTokens => "revoke-tokens",
            Self::Relations => "list-relations",
            Self::WriteRelations => "write-relations",
            Self::LeftOverRelations => "left-over-relations",
            Self::CheckRelations => "check-relations",
            Self::ListObjects => "list-objects",
            Self::ListSubjects => "list-subjects",
            Self::ExpandRelation => "expand-relation",
            Self::Grants => "list-grants",
            Self::EndGrants => "end-grants",
            Self::Sessions => "list-sessions",
            Self::EndSessions => "end-sessions",
            Self::Audit => "audit",
            Self::VerifyAudit => "verify-audit",
            Self::Checkpoints => "audit-checkpoints",
            Self::Decisions => "decisions",
            Self::Decision => "show-decision",
            Self::Usage => "usage",
            Self::Explain => "explain",
            Self::Replay => "replay",
            Self::Resource(kind, act) => {
                let kind = match kind {
                    ResourceKind::TrustedIssuer => "issuer".to_owned(),
                    ResourceKind::RelationModel => "relation-model".to_owned(),
                    ResourceKind::WebhookEndpoint => "webhook".to_owned(),
                    other => other.name().to_ascii_lowercase(),
                };
                return format!("{}-{kind}", act.verb());
            }
            Self::Credential(family, act) => {
                return format!("{}-{}", act.verb(), family.name().replace('_', "-"));
            }
        };
        fixed.to_owned()
    }

    /// What it does, in one sentence.
    pub(super) fn summary(self) -> String {
        use CredentialAct as C;
        use ResourceAct as R;
        let fixed = match self {
            Self::Status => "How the process is, and as whom you talk to it.",
            Self::Settings => {
                "The settings in force with secrets masked, and why a later version was refused."
            }
            Self::OpenApi => "This document.",
            Self::Apply => "Applies documents together, or only plans to.",
            Self::Export => "All that is declared, as documents that can be applied.",
            Self::Webhook(act) => act.summary(),
            Self::Suspend(Party::Client) => {
                "Refuses a client, its tokens and the calls that it signs."
            }
            Self::Suspend(Party::Account) => "Refuses a service account.",
            Self::Suspend(Party::User) => "Keeps a person from logging in.",
            Self::Resume(Party::Client) => "Takes a suspended client and its tokens again.",
            Self::Resume(Party::Account) => "Takes a suspended service account again.",
            Self::Resume(Party::User) => "Lets a suspended person log in again.",
            Self::ImportKey => "Brings in a foreign API key by its hash.",
            Self::SigningKeys => "Lists signing keys: states and public halves.",
            Self::RotateSigningKey => {
                "Publishes the next signing key of a purpose; answers all of it."
            }
            Self::RevokeTokens => "Revokes one token, or every token of a client.",
            Self::Relations => "Lists tuples: who has what to do with which object.",
            Self::WriteRelations => "Adds and removes tuples together, all of them or none.",
            Self::LeftOverRelations => {
                "Lists tuples that count for nothing, since the model does not take them."
            }
            Self::CheckRelations => "Asks whether subjects have relations to objects.",
            Self::ListObjects => "Lists the objects of a type that a subject has a relation to.",
            Self::ListSubjects => "Lists the subjects of a type that have a relation to an object.",
            Self::ExpandRelation => "Tells how a relation to an object comes about.",
            Self::Grants => "Lists what people allowed clients, the newest first.",
            Self::EndGrants => "Ends grants with every token of theirs.",
            Self::Sessions => "Lists people's sessions, the newest first.",
            Self::EndSessions => {
                "Ends sessions, with the grants that do not outlive them; clients are told."
            }
            Self::Audit => "Reads the audit trail.",
            Self::VerifyAudit => "Checks the whole audit trail and its signed checkpoints.",
            Self::Checkpoints => "Lists the signed checkpoints of the audit trail.",
            Self::Decisions => "Reads the log of judged calls, the newest first.",
            Self::Decision => "Shows one judged call by its request id.",
            Self::Usage => {
                "Lists what was used of late: credentials, secrets, keys, certificates, clients."
            }
            Self::Explain => "Tells step by step how a call would be judged; nothing comes of it.",
            Self::Replay => {
                "Judges the recorded calls again as documents would have it; nothing comes of it."
            }
            Self::Resource(kind, act) => {
                let kind = kind.name();
                return match act {
                    R::List => format!("Lists every {kind}."),
                    R::Show => format!("Shows one {kind}."),
                    R::Put => format!("Writes one {kind}: 201 if it is new."),
                    R::Delete => format!("Removes one {kind}."),
                    R::Versions => {
                        format!(
                            "Lists what one {kind} said at its last versions, the newest first."
                        )
                    }
                    R::RollBack => {
                        format!("Writes again what one {kind} said at an earlier version.")
                    }
                };
            }
            Self::Credential(family, act) => {
                let one = family.name().replace('_', " ");
                return match act {
                    C::List => format!("Lists each {one}, never the secret."),
                    C::Create => {
                        format!("Makes a new {one}; a secret that was made is shown this once.")
                    }
                    C::Show => format!("Shows one {one}, never the secret."),
                    C::Amend => format!("Changes what is given of the {one}."),
                    C::Suspend => format!("Puts the {one} to sleep."),
                    C::Resume => format!("Wakes the {one} up."),
                    C::Rotate if family == Family::SigningSecret => {
                        format!("Puts another beside the {one}, under the same public name.")
                    }
                    C::Rotate => {
                        format!("Makes a successor of the {one}; both are valid for a while.")
                    }
                    C::Revoke => format!("Ends the {one} for good."),
                    C::Usage => format!("Shows the calls with the {one}."),
                };
            }
        };
        fixed.to_owned()
    }

    /// The act that the caller's role must allow. `None`: every administrator may.
    pub fn action(self) -> Option<Action> {
        use CredentialAct as C;
        use ResourceAct as R;
        Some(match self {
            Self::Status | Self::OpenApi => return None,
            Self::Settings => Action::SettingsRead,
            Self::Apply => Action::Apply,
            Self::Export | Self::Resource(_, R::List | R::Show | R::Versions) => {
                Action::ResourceRead
            }
            Self::Resource(_, R::Put | R::RollBack) => Action::ResourceWrite,
            Self::Resource(_, R::Delete) => Action::ResourceDelete,
            Self::Webhook(act) => act.action(),
            Self::Suspend(party) => party.action(true),
            Self::Resume(party) => party.action(false),
            Self::ImportKey => Action::ApiKeyImport,
            Self::SigningKeys => Action::SigningKeyRead,
            Self::RotateSigningKey => Action::SigningKeyRotate,
            Self::RevokeTokens => Action::TokenRevoke,
            Self::Relations
            | Self::LeftOverRelations
            | Self::CheckRelations
            | Self::ListObjects
            | Self::ListSubjects
            | Self::ExpandRelation => Action::RelationRead,
            // A body that removes is judged as a removal too by the use case.
            Self::WriteRelations => Action::RelationAdd,
            Self::Grants => Action::GrantRead,
            Self::EndGrants => Action::GrantEnd,
            Self::Sessions => Action::SessionRead,
            Self::EndSessions => Action::SessionEnd,
            Self::Audit | Self::VerifyAudit | Self::Checkpoints => Action::AuditRead,
            Self::Decisions | Self::Decision => Action::DecisionRead,
            Self::Explain => Action::CallExplain,
            Self::Replay => Action::CallReplay,
            Self::Usage | Self::Credential(_, C::Usage) => Action::UsageRead,
            Self::Credential(Family::ApiKey, act) => match act {
                C::Create => Action::ApiKeyCreate,
                C::Amend => Action::ApiKeyAmend,
                C::Suspend => Action::ApiKeySuspend,
                C::Resume => Action::ApiKeyResume,
                C::Rotate => Action::ApiKeyRotate,
                C::Revoke => Action::ApiKeyRevoke,
                C::List | C::Show | C::Usage => Action::ApiKeyRead,
            },
            Self::Credential(Family::ClientSecret, act) => match act {
                C::Create => Action::ClientSecretCreate,
                C::Amend => Action::ClientSecretAmend,
                C::Suspend => Action::ClientSecretSuspend,
                C::Resume => Action::ClientSecretResume,
                C::Rotate => Action::ClientSecretRotate,
                C::Revoke => Action::ClientSecretRevoke,
                C::List | C::Show | C::Usage => Action::ClientSecretRead,
            },
            Self::Credential(Family::Password, act) => match act {
                C::Create => Action::PasswordCreate,
                C::Amend => Action::PasswordAmend,
                C::Suspend => Action::PasswordSuspend,
                C::Resume => Action::PasswordResume,
                C::Rotate => Action::PasswordRotate,
                C::Revoke => Action::PasswordRevoke,
                C::List | C::Show | C::Usage => Action::PasswordRead,
            },
            Self::Credential(Family::UserPassword, act) => match act {
                C::Create => Action::UserPasswordCreate,
                C::Amend => Action::UserPasswordAmend,
                C::Suspend => Action::UserPasswordSuspend,
                C::Resume => Action::UserPasswordResume,
                C::Rotate => Action::UserPasswordRotate,
                C::Revoke => Action::UserPasswordRevoke,
                C::List | C::Show | C::Usage => Action::UserPasswordRead,
            },
            Self::Credential(Family::AdminKey, act) => match act {
                C::Create => Action::AdminKeyCreate,
                C::Amend => Action::AdminKeyAmend,
                C::Suspend => Action::AdminKeySuspend,
                C::Resume => Action::AdminKeyResume,
                C::Rotate => Action::AdminKeyRotate,
                C::Revoke => Action::AdminKeyRevoke,
                C::List | C::Show | C::Usage => Action::AdminKeyRead,
            },
            Self::Credential(Family::RegistrationToken, act) => match act {
                C::Create => Action::RegistrationTokenCreate,
                C::Amend => Action::RegistrationTokenAmend,
                C::Suspend => Action::RegistrationTokenSuspend,
                C::Resume => Action::RegistrationTokenResume,
                C::Rotate => Action::RegistrationTokenRotate,
                C::Revoke => Action::RegistrationTokenRevoke,
                C::List | C::Show | C::Usage => Action::RegistrationTokenRead,
            },
            Self::Credential(Family::SigningSecret, act) => match act {
                // A body that brings a secret in is judged as an import by the use case.
                C::Create => Action::SigningSecretCreate,
                C::Amend => Action::SigningSecretAmend,
                C::Suspend => Action::SigningSecretSuspend,
                C::Resume => Action::SigningSecretResume,
                C::Rotate => Action::SigningSecretRotate,
                C::Revoke => Action::SigningSecretRevoke,
                C::List | C::Show | C::Usage => Action::SigningSecretRead,
            },
        })
    }

    /// The schema of the body it takes.
    pub(super) fn body(self) -> Option<&'static str> {
        use CredentialAct as C;
        Some(match self {
            Self::Apply => "Apply",
            Self::Explain => "Explain",
            Self::Replay => "Replay",
            Self::Webhook(WebhookAct::Send) => "SendWebhook",
            Self::Webhook(act) if act.is_post() => "Act",
            Self::Resource(_, ResourceAct::Put) => "PutResource",
            Self::Resource(_, ResourceAct::RollBack) => "RollBack",
            Self::ImportKey => "ImportKey",
            Self::RotateSigningKey => "RotateSigningKey",
            Self::RevokeTokens => "RevokeTokens",
            Self::WriteRelations => "WriteRelations",
            Self::CheckRelations => "CheckRelations",
            Self::ListObjects => "ListObjects",
            Self::ListSubjects => "ListSubjects",
            Self::ExpandRelation => "ExpandRelation",
            Self::EndGrants | Self::EndSessions => "EndFlows",
            Self::Credential(Family::ApiKey, C::Create) => "CreateKey",
            Self::Credential(Family::ClientSecret, C::Create) => "CreateSecret",
            Self::Credential(Family::Password | Family::UserPassword, C::Create) => "SetPassword",
            Self::Credential(Family::AdminKey, C::Create) => "CreateAdminKey",
            Self::Credential(Family::RegistrationToken, C::Create) => "CreateRegistrationToken",
            Self::Credential(Family::SigningSecret, C::Create) => "CreateSigningSecret",
            Self::Credential(Family::SigningSecret, C::Rotate) => "RotateSigningSecret",
            Self::Credential(_, C::Amend) => "Amend",
            Self::Credential(_, C::Rotate) => "Rotate",
            Self::Credential(_, C::Suspend | C::Resume | C::Revoke)
            | Self::Suspend(_)
            | Self::Resume(_) => "Act",
            _ => return None,
        })
    }

    /// The schema of its answer; `None`: no content, or (the document) any JSON.
    pub(super) fn answer(self) -> Option<&'static str> {
        use CredentialAct as C;
        use ResourceAct as R;
        Some(match self {
            Self::Status => "Status",
            Self::Settings => "SettingsView",
            Self::OpenApi | Self::Resource(_, R::Delete) => return None,
            Self::Apply => "Plan",
            Self::Export => "Export",
            Self::Resource(_, R::List) => "ResourcePage",
            Self::Resource(_, R::Show | R::Put | R::RollBack)
            | Self::Suspend(_)
            | Self::Resume(_) => "Resource",
            Self::Resource(_, R::Versions) => "VersionPage",
            Self::Credential(_, C::List) => "CredentialPage",
            Self::Credential(_, C::Create | C::Rotate) => "Issued",
            Self::Credential(_, C::Show | C::Amend | C::Suspend | C::Resume | C::Revoke)
            | Self::ImportKey => "CredentialView",
            Self::Credential(_, C::Usage) => "UsageView",
            Self::SigningKeys | Self::RotateSigningKey => "SigningKeyPage",
            Self::RevokeTokens => "RevokedTokens",
            Self::Relations => "TuplePage",
            Self::WriteRelations => "WroteRelations",
            Self::LeftOverRelations => "LeftOverPage",
            Self::CheckRelations => "CheckedRelations",
            Self::ListObjects => "ListedObjects",
            Self::ListSubjects => "ListedSubjects",
            Self::ExpandRelation => "TreeView",
            Self::Grants | Self::EndGrants => "GrantPage",
            Self::Sessions | Self::EndSessions => "SessionPage",
            Self::Audit => "AuditPage",
            Self::VerifyAudit => "AuditVerified",
            Self::Checkpoints => "CheckpointPage",
            Self::Decisions => "DecisionPage",
            Self::Decision => "DecisionView",
            Self::Usage => "UsedPage",
            Self::Explain => "ExplanationView",
            Self::Replay => "ReplayView",
            Self::Webhook(WebhookAct::Send | WebhookAct::Show) => "WebhookMessage",
            Self::Webhook(WebhookAct::List) => "WebhookMessagePage",
            Self::Webhook(WebhookAct::Status) => "WebhookStatusPage",
            Self::Webhook(WebhookAct::Enable | WebhookAct::Disable) => "WebhookStatus",
            Self::Webhook(
                WebhookAct::Retry | WebhookAct::RetryDead | WebhookAct::Drop | WebhookAct::DropDead,
            ) => "WebhooksTouched",
        })
    }

    /// The statuses of success.
    pub(super) fn successes(self) -> &'static [StatusCode] {
        match self {
            Self::Resource(_, ResourceAct::Put) => &[StatusCode::OK, StatusCode::CREATED],
            Self::Resource(_, ResourceAct::Delete) => &[StatusCode::NO_CONTENT],
            Self::Credential(_, CredentialAct::Create | CredentialAct::Rotate)
            | Self::ImportKey => &[StatusCode::CREATED],
            Self::Webhook(WebhookAct::Send) => &[StatusCode::ACCEPTED],
            _ => &[StatusCode::OK],
        }
    }

    /// Its query parameters.
    pub(super) fn query(self) -> QueryForm {
        use CredentialAct as C;
        match self {
            Self::Credential(_, C::List) => QueryForm::Credentials,
            Self::Credential(_, C::Usage) => QueryForm::Usage,
            Self::Usage => QueryForm::Used,
            Self::Credential(_, C::Suspend | C::Resume | C::Revoke)
            | Self::Suspend(_)
            | Self::Resume(_)
            | Self::Resource(_, ResourceAct::Delete) => QueryForm::Version,
            Self::Export => QueryForm::Export,
            Self::Audit => QueryForm::Audit,
            Self::Decisions => QueryForm::Decisions,
            Self::Grants | Self::Sessions => QueryForm::Flows,
            Self::Relations => QueryForm::Relations,
            Self::Webhook(WebhookAct::List) => QueryForm::Webhooks,
            _ => QueryForm::None,
        }
    }

    /// Whether it works on one version of something: `If-Match` may name it, 409 tells another.
    pub(super) fn is_versioned(self) -> bool {
        use CredentialAct as C;
        matches!(
            self,
            Self::Resource(_, ResourceAct::Put | ResourceAct::Delete)
                | Self::Credential(_, C::Amend | C::Suspend | C::Resume | C::Revoke)
        )
    }
}
