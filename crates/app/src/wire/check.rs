//! **Looking before a start**: every file that a start reads is read here, by the same functions, and
//! each one that can't be used is told where it is named. Nothing is kept, no port is opened, and no
//! database is asked. What resources of the admin API name is not seen here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gateway::CertStore;
use outbound::fetch::Fetcher;
use proof::x509::{RevocationLists, TrustRoots};
use registry::api::stored::StoredCredential;
use registry::api::{ApiMeaning, AuthorityFiles, UpstreamMeaning};
use registry::flaw::PathStep;
use registry::meaning::Meaning;
use registry::trusted_issuer::{ClientProof, IssuerKeys, IssuerMeaning};
use web::pages::Pages;

use super::planes;
use crate::settings::{Flaw, Flaws, Loaded};

/// Reads what a start with these settings reads; `path` is where they stand.
///
/// # Errors
/// Every file that a start would end with, each with its place.
pub(crate) fn files(path: &Path, loaded: &Loaded) -> Result<(), Flaws> {
    let mut look = Look {
        base: super::base_of(path),
        loaded,
        found: Vec::new(),
    };
    look.listeners();
    look.issuer();
    for api in &loaded.meaning.apis {
        look.api(api);
    }
    for client in &loaded.meaning.clients {
        if let Some(own) = &client.call_certificates {
            let at = At::document(loaded, "Client", client.client_id.as_str());
            look.authority(&at, &["spec", "call_certificates"], &own.files);
        }
    }
    for issuer in &loaded.meaning.issuers {
        look.keys_of(issuer);
    }
    match super::fetcher(&loaded.settings) {
        Ok(fetcher) => look.with_fetcher(&Arc::new(fetcher)),
        Err(error) => look.bad(
            &At::Settings,
            &["outbound", "ca_file"],
            format!("{error:#}"),
        ),
    }
    match look.found {
        found if found.is_empty() => Ok(()),
        found => Err(loaded.places.flaws(found)),
    }
}

/// What a file is named in.
enum At {
    /// The settings themselves.
    Settings,
    /// A document: its position, and kind with name.
    Document(usize, String),
}

impl At {
    fn document(loaded: &Loaded, kind: &str, name: &str) -> Self {
        let same = |one: &registry::document::Document| {
            one.kind().name() == kind && one.name.as_str() == name
        };
        let index = loaded.documents.iter().position(same);
        // One that is not there has no place; its name still says which it is.
        Self::Document(index.unwrap_or(usize::MAX), format!("{kind} `{name}`"))
    }
}

struct Look<'a> {
    base: PathBuf,
    loaded: &'a Loaded,
    found: Vec<Flaw>,
}

impl Look<'_> {
    fn bad(&mut self, at: &At, path: &[&str], message: String) {
        let step = |key: &&str| match key.parse() {
            Ok(index) => PathStep::Index(index),
            Err(_) => PathStep::Key((*key).to_owned()),
        };
        let path: Vec<PathStep> = path.iter().map(step).collect();
        let places = &self.loaded.places;
        self.found.push(match at {
            At::Settings => places.setting(&path, message),
            At::Document(index, name) => {
                places.document(*index, &path, format!("{name}: {message}"))
            }
        });
    }

    fn listeners(&mut self) {
        for (index, listener) in self.loaded.settings.listeners.iter().enumerate() {
            for (pair, files) in planes::files(listener).into_iter().enumerate() {
                if let Err(error) = CertStore::from_files(&[files]) {
                    let (index, pair) = (index.to_string(), pair.to_string());
                    let path = ["listeners", &index, "tls", "certificates", &pair];
                    let message = format!("listener `{}`: {error}", listener.name);
                    self.bad(&At::Settings, &path, message);
                }
            }
        }
    }

    fn issuer(&mut self) {
        let Some(own) = &self.loaded.settings.issuer else {
            return;
        };
        if let Err(error) = Pages::load(&own.identifier, own.theme_dir.as_deref()) {
            let message = format!("the pages' theme can't be used: {error}");
            self.bad(&At::Settings, &["issuer", "theme_dir"], message);
        }
        if let Some((_, files)) = &own.client_authority {
            self.authority(&At::Settings, &["issuer", "client_certificates"], files);
        }
    }

    fn api(&mut self, api: &Arc<ApiMeaning>) {
        let at = At::document(self.loaded, "Api", api.judged.name.as_str());
        if let Some(files) = &api.client_authority {
            self.authority(&at, &["spec", "client_certificates"], files);
        }
        let alone = Meaning {
            apis: vec![api.clone()],
            ..Meaning::default()
        };
        if let Err(error) = planes::decryption_keys(&alone, &self.base) {
            let path = ["spec", "token_encryption", "key_files"];
            self.bad(&at, &path, format!("{error:#}"));
        }
    }

    /// Who vouches for certificates, file by file.
    fn authority(&mut self, at: &At, section: &[&str], files: &AuthorityFiles) {
        let roots = planes::authority_file(&files.roots, &self.base);
        let roots = roots.and_then(|pem| {
            TrustRoots::from_pem(&pem)
                .map(drop)
                .map_err(|defect| format!("{}: {defect}", files.roots.display()))
        });
        if let Err(message) = roots {
            self.bad(at, &[section, &["ca_file"]].concat(), message);
        }
        for (index, file) in files.revocation.iter().enumerate() {
            let list = planes::authority_file(file, &self.base).and_then(|list| {
                RevocationLists::from_files(&[list])
                    .map(drop)
                    .map_err(|defect| format!("{}: {defect}", file.display()))
            });
            if let Err(message) = list {
                let index = index.to_string();
                self.bad(at, &[section, &["crl_files", &index]].concat(), message);
            }
        }
    }

    fn keys_of(&mut self, issuer: &IssuerMeaning) {
        let at = At::document(self.loaded, "TrustedIssuer", &issuer.name);
        if let IssuerKeys::File(file) = &issuer.keys
            && let Err(error) = planes::key_file(&self.base.join(file))
        {
            self.bad(&at, &["spec", "jwks_file"], format!("{error:#}"));
        }
        if let Err(error) = planes::paseto_keys(issuer, &self.base) {
            self.bad(&at, &["spec", "paseto_key_files"], format!("{error:#}"));
        }
    }

    /// What shows this installation to others: upstreams, and issuers that are asked.
    fn with_fetcher(&mut self, fetcher: &Arc<Fetcher>) {
        let loaded = self.loaded;
        for issuer in &loaded.meaning.issuers {
            if let Some(asked) = &issuer.introspection
                && let Err(error) = planes::introspection(fetcher, issuer, asked, &self.base)
            {
                let at = At::document(loaded, "TrustedIssuer", &issuer.name);
                let key = match &asked.proof {
                    ClientProof::Secret(_) => "client_secret",
                    ClientProof::Key { .. } => "key_file",
                    ClientProof::Certificate { .. } => "certificate_file",
                };
                self.bad(&at, &["spec", "introspection", key], format!("{error:#}"));
            }
        }
        let apis = loaded.meaning.apis.iter();
        let apis: Vec<_> = apis.map(|api| planes::based(api, &self.base)).collect();
        for error in gateway::rehearse(&apis, fetcher.clone())
            .err()
            .unwrap_or_default()
        {
            let at = At::document(loaded, "Api", &error.api);
            let of_credential = loaded.meaning.api(&error.api).and_then(|api| {
                let UpstreamMeaning::Pool(pool) = &api.upstream else {
                    return None;
                };
                pool.credential.as_deref().map(StoredCredential::key)
            });
            let of_credential = of_credential.filter(|_| error.place == "upstream.credential");
            let path = ["spec"].into_iter().chain(error.place.split('.'));
            let path: Vec<&str> = path.chain(of_credential).collect();
            self.bad(&at, &path, error.cause);
        }
    }
}
