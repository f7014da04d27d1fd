//! **Files of the machine** that declarations name: read when what is declared comes into service, and
//! looked at before a document that names them is written. A file that goes away later ends what is
//! judged by it and nothing else.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use outbound::authorities::AuthoritySource;
use outbound::paseto::NamedKey;
use outbound::statuses::ResponderSource;
use proof::jose::jwe::{DecryptionKey, DecryptionKeys};
use proof::jose::jwk::JwkSet;
use proof::paseto;
use proof::secret::Secret;
use registry::api::{ApiMeaning, AuthorityFiles, UpstreamMeaning};
use registry::meaning::Meaning;
use registry::ports::{BadFile, Files};
use registry::resource::ResourceKind;
use registry::trusted_issuer::{IssuerKeys, IssuerMeaning};
use verdict::credential::mtls::AuthorityId;
use verdict::route::ApiName;

use super::{Shared, base_of, planes};

impl Files for Shared {
    fn look(&self, meaning: &Meaning, kind: ResourceKind, name: &str) -> Vec<BadFile> {
        let base = base_of(self.reload.path());
        match kind {
            ResourceKind::Api => {
                let found = meaning
                    .apis
                    .iter()
                    .find(|api| api.judged.name.as_str() == name);
                found.map_or_else(Vec::new, |api| self.of_api(api, &base))
            }
            ResourceKind::Client => {
                let mut clients = meaning.clients.iter();
                clients
                    .find(|client| client.client_id.as_str() == name)
                    .and_then(|client| client.call_certificates.as_ref())
                    .and_then(|own| {
                        self.authority(&own.judged.authority, &own.files, &base)
                            .err()
                    })
                    .map(|message| BadFile {
                        place: "call_certificates",
                        message,
                    })
                    .into_iter()
                    .collect()
            }
            ResourceKind::TrustedIssuer => {
                let found = meaning
                    .issuers
                    .iter()
                    .find(|issuer| issuer.name.as_str() == name);
                found.map_or_else(Vec::new, |issuer| of_issuer(issuer, &base))
            }
            _ => Vec::new(),
        }
    }
}

impl Shared {
    fn of_api(&self, api: &Arc<ApiMeaning>, base: &Path) -> Vec<BadFile> {
        let mut bad = Vec::new();
        if let (Some(profile), Some(files)) = (&api.judged.certificates, &api.client_authority)
            && let Err(message) = self.authority(&profile.authority, files, base)
        {
            bad.push(BadFile {
                place: "client_certificates",
                message,
            });
        }
        let own = matches!(&api.upstream, UpstreamMeaning::Pool(pool) if pool.tls.is_some());
        if own
            && let Some(door) = self.door.get()
            && let Err(error) = planes::snapshot(door.gateway(), &[based(api, base)])
        {
            bad.push(BadFile {
                place: "upstream.tls",
                message: format!("{error:#}"),
            });
        }
        bad
    }

    /// Whether an authority can be made of its files.
    pub(super) fn authority(
        &self,
        id: &AuthorityId,
        files: &AuthorityFiles,
        base: &Path,
    ) -> Result<(), String> {
        let source = source(files, base)?;
        let (_, bad) = self.facts.authorities().prepare([(id.clone(), source)]);
        match bad.first() {
            None => Ok(()),
            Some((_, defect)) => Err(format!("{}: {defect}", names(files))),
        }
    }
}

fn of_issuer(issuer: &IssuerMeaning, base: &Path) -> Vec<BadFile> {
    let mut bad = Vec::new();
    if let IssuerKeys::File(file) = &issuer.keys
        && let Err(error) = key_file(&base.join(file))
    {
        bad.push(BadFile {
            place: "jwks_file",
            message: format!("{error:#}"),
        });
    }
    if let Err(error) = paseto_keys(issuer, base) {
        bad.push(BadFile {
            place: "paseto_key_files",
            message: format!("{error:#}"),
        });
    }
    bad
}

/// Every authority of clients' certificates: whose it is, its name, its files.
fn named_authorities<'a>(
    shared: &'a Shared,
    meaning: &'a Meaning,
) -> impl Iterator<Item = (String, &'a AuthorityId, &'a AuthorityFiles)> {
    let own = shared.client_authority.iter();
    let own = own.map(|(id, files)| ("issuer.client_certificates".to_owned(), id, files));
    let apis = meaning.apis.iter().filter_map(|api| {
        let profile = api.judged.certificates.as_ref()?;
        let files = api.client_authority.as_ref()?;
        Some((
            format!("API `{}`", api.judged.name),
            &profile.authority,
            files,
        ))
    });
    let clients = meaning.clients.iter().filter_map(|client| {
        let own = client.call_certificates.as_ref()?;
        let whose = format!("client `{}`", client.client_id);
        Some((whose, &own.judged.authority, &own.files))
    });
    own.chain(apis).chain(clients)
}

/// Reads a file of an authority.
///
/// # Errors
/// A sentence that names it as it is written.
pub(super) fn authority_file(file: &Path, base: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(base.join(file))
        .map_err(|error| format!("{} can't be read: {error}", file.display()))
}

/// What an authority's files hold.
fn source(files: &AuthorityFiles, base: &Path) -> Result<AuthoritySource, String> {
    let read = |file: &PathBuf| authority_file(file, base);
    Ok(AuthoritySource {
        roots: read(&files.roots)?,
        revocation: files
            .revocation
            .iter()
            .map(read)
            .collect::<Result<_, _>>()?,
        published: files.published.clone(),
        responder: files.responder.as_ref().map(|declared| ResponderSource {
            url: declared.url.clone(),
            asked: declared.asked,
            refresh: declared.refresh,
        }),
    })
}

/// The names of an authority's files, as they are written.
fn names(files: &AuthorityFiles) -> String {
    let all = core::iter::once(&files.roots).chain(&files.revocation);
    let all: Vec<_> = all.map(|file| file.display().to_string()).collect();
    all.join(", ")
}

/// Reads who vouches for clients' certificates. Also whose authority can't be read, and why: what is
/// not there vouches for nobody, and what is there and can't be understood leaves what it said before
/// in force.
pub(super) fn authorities(
    shared: &Shared,
    meaning: &Meaning,
) -> (outbound::authorities::Prepared, Vec<String>) {
    let base = base_of(shared.reload.path());
    let (mut sources, mut unusable) = (Vec::new(), Vec::new());
    for (whose, authority, files) in named_authorities(shared, meaning) {
        match source(files, &base) {
            Ok(source) => sources.push((authority.clone(), source)),
            Err(message) => unusable.push(format!("{whose}: {message}")),
        }
    }
    let (prepared, bad) = shared.facts.authorities().prepare(sources);
    for (id, defect) in bad {
        let whose = named_authorities(shared, meaning).find(|(_, authority, _)| **authority == id);
        unusable
            .extend(whose.map(|(whose, _, files)| format!("{whose}: {}: {defect}", names(files))));
    }
    (prepared, unusable)
}

/// Reads the keys that open encrypted tokens, in the order in which they are declared.
pub(super) fn decryption_keys(
    meaning: &Meaning,
    base: &Path,
) -> Result<Vec<(ApiName, Arc<DecryptionKeys>)>> {
    let asking = meaning
        .apis
        .iter()
        .filter(|api| api.judged.encryption.is_some());
    asking
        .map(|api| {
            let mut keys: Vec<DecryptionKey> = Vec::new();
            for file in &api.decryption_key_files {
                let path = base.join(file);
                let place = || format!("API `{}`: {}", api.judged.name, path.display());
                let pem = std::fs::read(&path)
                    .map(Secret::new)
                    .with_context(|| format!("{} can't be read", place()))?;
                // Nothing of the file is said.
                let key = DecryptionKey::from_pem(&pem).map_err(|_| {
                    anyhow::anyhow!(
                        "{} is no key that opens tokens: PKCS#8 in PEM, RSA of 2048 bits and more or EC P-256",
                        place()
                    )
                })?;
                if keys.iter().any(|other| other.kid() == key.kid()) {
                    bail!("{} holds the key of another file", place());
                }
                keys.push(key);
            }
            Ok((api.judged.name.clone(), Arc::new(DecryptionKeys::new(keys))))
        })
        .collect()
}

/// Every file that a declaration names, from the settings' folder where it is relative.
pub(super) fn files_named(shared: &Shared, meaning: &Meaning) -> Vec<PathBuf> {
    let base = base_of(shared.reload.path());
    let mut files = Vec::new();
    for (_, _, authority) in named_authorities(shared, meaning) {
        files.push(base.join(&authority.roots));
        files.extend(authority.revocation.iter().map(|file| base.join(file)));
    }
    for api in &meaning.apis {
        files.extend(api.decryption_key_files.iter().map(|file| base.join(file)));
        if let UpstreamMeaning::Pool(pool) = &api.upstream {
            let tls = pool.tls.iter().flat_map(|tls| tls.files());
            let own = pool.credential.iter().flat_map(|own| own.files());
            files.extend(tls.chain(own).map(|file| base.join(file)));
        }
    }
    for issuer in &meaning.issuers {
        if let IssuerKeys::File(file) = &issuer.keys {
            files.push(base.join(file));
        }
        let asked = issuer.introspection.iter();
        files.extend(
            asked
                .flat_map(|asked| asked.proof.files())
                .map(|file| base.join(file)),
        );
        files.extend(issuer.paseto_key_files.iter().map(|file| base.join(file)));
    }
    for policy in &meaning.policies {
        files.extend(crate::policies::named(policy, &base));
    }
    files.sort();
    files.dedup();
    files
}

/// An API whose files are named from the settings' folder.
pub(super) fn based(api: &Arc<ApiMeaning>, base: &Path) -> Arc<ApiMeaning> {
    let UpstreamMeaning::Pool(pool) = &api.upstream else {
        return api.clone();
    };
    if pool.tls.is_none() && pool.credential.is_none() {
        return api.clone();
    }
    let mut pool = pool.clone();
    let tls = pool.tls.iter_mut().flat_map(|tls| tls.files_mut());
    let own = pool.credential.iter_mut().flat_map(|own| own.files_mut());
    tls.chain(own).for_each(|file| *file = base.join(&*file));
    let mut api = (**api).clone();
    api.upstream = UpstreamMeaning::Pool(pool);
    Arc::new(api)
}

/// An issuer's PASETO keys, those in files among them.
pub(super) fn paseto_keys(issuer: &IssuerMeaning, base: &Path) -> Result<Vec<NamedKey>> {
    let written = issuer.paseto_keys.iter().cloned();
    let mut keys: Vec<_> = written.map(|(id, key)| NamedKey { id, key }).collect();
    for file in &issuer.paseto_key_files {
        let path = base.join(file);
        let text = std::fs::read(&path)
            .map(Secret::new)
            .with_context(|| format!("{} can't be read", path.display()))?;
        let line = Secret::new(text.expose().trim_ascii());
        // Nothing of the file is said: it may be the secret one.
        let (key, id) = paseto::Key::named(&line).map_err(|_| {
            anyhow::anyhow!(
                "{} is no PASETO key: one line, `k4.public.…` or `k4.local.…`",
                path.display()
            )
        })?;
        let key = Arc::new(key);
        keys.push(NamedKey { id, key });
    }
    Ok(keys)
}

pub(super) fn key_file(path: &std::path::Path) -> Result<JwkSet> {
    let text = std::fs::read(path).with_context(|| format!("{} can't be read", path.display()))?;
    match JwkSet::parse(&text) {
        Ok(set) => Ok(set),
        Err(defect) => bail!("{} is no key set (RFC 7517 §5): {defect:?}", path.display()),
    }
}
