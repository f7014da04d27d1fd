//! **What strangers may register**, as meant. Whatever would allow nothing, or everything to a
//! careless reader, is a mistake in the file.

use core::time::Duration;

use registry::registration::{Policy, RedirectHost};
use registry::usecase::registration::Rules;

use super::Meaning;
use crate::settings::written;

/// Shortest life of a registered client's secret.
const SHORTEST_SECRET: Duration = Duration::from_secs(3600);

impl Meaning<'_> {
    /// Registration as the use cases want it. Whether this is `dev`, and whether a CA is trusted, is
    /// known where it is wired.
    pub(super) fn registration(&mut self, written: &written::Registration) -> Rules {
        const AT: &str = "registration";
        if written.grant_types.is_empty() {
            self.flaw(
                &["issuer", AT, "grant_types"],
                "a client without a grant can do nothing",
                "write the grants that clients may ask for, or leave it out",
            );
        }
        if written.max_clients == 0 {
            self.flaw(
                &["issuer", AT, "max_clients"],
                "nobody could register a client",
                "write how many there may be, or leave out `registration`",
            );
        }
        let path = ["issuer", AT, "redirect_hosts"];
        let redirect_hosts = written.redirect_hosts.as_ref().map(|list| {
            if list.is_empty() {
                let hint = "write the hosts that people may be sent to, or leave it out";
                self.flaw(&path, "people could be sent nowhere", hint);
            }
            let hint = "write `app.example.com`, or `*.example.com` for all below it";
            let hosts = list.iter().map(|text| {
                let read = RedirectHost::parse(text);
                self.parsed(read.ok_or(format!("`{text}` is no host")), &path, hint)
            });
            hosts.flatten().collect()
        });
        let path = ["issuer", AT, "secret_lifetime"];
        let secret_lifetime = written
            .secret_lifetime
            .as_ref()
            .map(|text| self.period(text, &path));
        if secret_lifetime.is_some_and(|life| life < SHORTEST_SECRET) {
            let hint = "write an hour or more, as in `90d`";
            self.flaw(&path, "a secret would end before it is in use", hint);
        }
        Rules {
            policy: Policy {
                application: written.application.clone(),
                environment: written.environment,
                profile: written.profile,
                grant_types: written.grant_types.clone(),
                identity_scopes: written.identity_scopes.clone(),
                grants: written.grants.clone(),
                redirect_hosts,
                client_ca: false,
                loopback_dev: false,
            },
            open: written.initial_access_token == written::InitialAccessToken::Open,
            max_clients: written.max_clients,
            secret_lifetime,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::{Mode, load};

    #[test]
    fn what_would_allow_nothing_and_hosts_that_are_none_are_mistakes() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("doorward.yaml");
        let text = "version: 1\n\
                    data_dir: .\n\
                    master_key: file:missing.key\n\
                    listeners: [{ name: door, address: '127.0.0.1:0', serves: [issuer] }]\n\
                    issuer:\n\
                    \x20 url: https://id.example.com\n\
                    \x20 registration:\n\
                    \x20   application: shop\n\
                    \x20   grant_types: []\n\
                    \x20   redirect_hosts: ['*.example.com', '*', 'https://a.example']\n\
                    \x20   max_clients: 0\n\
                    \x20   secret_lifetime: 1s\n";
        std::fs::write(&file, text).expect("written");
        let flaws = load(&file, &|_| None, Mode::Serve).expect_err("it is full of mistakes");
        let told = flaws.to_string();
        for expected in [
            "a client without a grant can do nothing",
            "`*` is no host",
            "`https://a.example` is no host",
            "nobody could register a client",
            "a secret would end before it is in use",
        ] {
            assert!(told.contains(expected), "{expected}: {told}");
        }
        assert!(!told.contains("`*.example.com` is no host"), "{told}");
    }
}
