//! **mTLS**: the certificate that a client showed in its TLS handshake (RFC 8446 §4.4.2), as a
//! credential of its own.
//!
//! The handshake proved that the client has the key. Who vouches for its names is judged here, per
//! API: a path to one of the API's own authorities, nothing on it revoked, and a name that the API
//! knows. A certificate of another API's authority, or of one that only the TLS library trusts, is
//! worth nothing. A certificate that no combination asks for is no credential at all, and is left
//! alone.
//!
//! The path costs signatures, so its result is kept for [`RECHECK`] under the very certificate, the
//! rules it was judged by and the version of its authority; the certificate's own time is judged on
//! every use, and so is what the authority's responder says of the path (RFC 6960), where it has one.
//! Chains that come in the header of a client's own JWT are kept in the same way.

use core::time::Duration;
use std::sync::Arc;

use ipnet::IpNet;
use proof::digest::TokenHash;
use proof::issued::Environment;
use proof::jose::verifying::VerifyingKey;
use proof::time::Timestamp;
use proof::x509::ocsp::{Question, Status};
use proof::x509::{Certificate, RevocationLists, TrustRoots, Trusted, X509Defect, dn_matches};

use super::jwt::ConfigId;
use super::{CredentialKind, Proved, refused};
use crate::call::TlsFacts;
use crate::facts::Facts;
use crate::identity::{
    ApiAllow, ApplicationId, CredentialId, Principal, RoleName, Scopes, Standing, SubjectId,
    TenantId, text_id,
};
use crate::problem::Problem;
use crate::trace::{Check, Note};

text_id!(
    /// Names an authority: whoever vouches for clients' certificates, with its revocation lists.
    AuthorityId
);

/// How long a path that held is taken to hold: what a certificate between root and client may be
/// past its time, at most.
pub const RECHECK: Duration = Duration::from_secs(60);

/// How one API judges client certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateProfile {
    /// Its version (a hash of everything below).
    pub config: ConfigId,
    /// Who must vouch.
    pub authority: AuthorityId,
    /// Which names are known and what each stands for; the first that fits counts. Never empty.
    pub identities: Vec<CertificateIdentity>,
}

/// A name, or a family of names, and what its holder may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateIdentity {
    /// Where it stands in the certificate, and what it is.
    pub name: NamePattern,
    /// Scopes of its holder.
    pub scopes: Scopes,
    /// Roles of its holder.
    pub roles: Vec<RoleName>,
    /// Its holder's tenant.
    pub tenant: Option<TenantId>,
    /// The application it belongs to.
    pub application: Option<Membership>,
    /// Networks its holder may come from; empty: anywhere.
    pub networks: Vec<IpNet>,
    /// Whether its holder is refused for now. It still fits, so that a name above a family of names
    /// takes one holder out of it.
    pub suspended: bool,
}

/// An application, and the wall that its members stand behind with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The application.
    pub application: ApplicationId,
    /// Its wall.
    pub environment: Environment,
}

/// Names that a rule knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamePattern {
    /// An alternative name of type URI, compared exactly; with `*` at the end, whatever follows. A
    /// pattern that begins with `spiffe://` asks for a certificate with that one URI and no other
    /// (X.509-SVID §2).
    Uri(Box<str>),
    /// An alternative name of type DNS, without regard to case; with `*.` in front, one label more.
    Dns(Box<str>),
    /// An alternative name of type e-mail: the part before `@` exactly, the domain without regard
    /// to case; `*@example.com` takes every address of that very domain.
    Email(Box<str>),
    /// The whole subject (RFC 4514), compared as RFC 8705 §2.1.2 has it.
    Subject(Box<str>),
}

/// An authority as it is now: its roots, its revocation lists, and the number of this state.
#[derive(Debug)]
pub struct Authority {
    /// Another number, another state: what was verified under an older one is verified again.
    pub version: u64,
    /// The certificates that vouch.
    pub roots: TrustRoots,
    /// Its revocation lists. `None`: none is asked for; then the certificates' short life is
    /// what ends them.
    pub revocation: Option<RevocationLists>,
    /// What its responder is asked about, beside the lists.
    pub responder: Asked,
}

impl Authority {
    /// What its responder is to be asked, on every use, about a path that holds.
    pub fn questions(&self, trusted: &Trusted<'_>) -> Vec<Question> {
        self.responder.of(trusted.path())
    }
}

/// Which certificates of a path a responder is asked about (RFC 6960).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Asked {
    /// None: there is no responder.
    #[default]
    Nothing,
    /// The client's.
    Client,
    /// Every certificate but the root.
    Path,
}

impl Asked {
    fn of(self, path: &[Question]) -> Vec<Question> {
        let count = match self {
            Self::Nothing => 0,
            Self::Client => 1,
            Self::Path => path.len(),
        };
        path.iter().take(count).cloned().collect()
    }
}

/// A certificate whose path held.
#[derive(Debug, Clone)]
pub struct VerifiedCertificate {
    /// The authority's state it was verified under.
    pub authority: u64,
    /// From when on the path is to be looked at again.
    pub recheck_at: Timestamp,
    /// The end of the certificate's own time.
    pub not_after: Timestamp,
    /// What the authority's responder is to be asked on every use.
    pub questions: Vec<Question>,
    /// What it stands for.
    pub holder: Holder,
}

/// What a certificate stands for, by the rules that it was judged by.
#[derive(Debug, Clone)]
pub enum Holder {
    /// A caller that showed it in its handshake.
    Caller {
        /// What it stands for.
        standing: Arc<Standing>,
        /// Whether the identity that fits is suspended.
        suspended: bool,
    },
    /// A client that signs with the certified key, once for each algorithm it may sign with.
    Signer(Vec<VerifyingKey>),
}

impl VerifiedCertificate {
    /// One whose path held just now.
    pub(super) fn new(
        trusted: &Trusted<'_>,
        authority: &Authority,
        holder: Holder,
        now: Timestamp,
    ) -> Self {
        Self {
            authority: authority.version,
            recheck_at: now.plus(RECHECK),
            not_after: trusted.certificate().not_after(),
            questions: authority.questions(trusted),
            holder,
        }
    }

    /// When its time is over, which includes the last second.
    pub(super) fn ends(&self) -> Timestamp {
        self.not_after.plus(Duration::from_secs(1))
    }
}

/// Judges the certificate of a connection by an API's profile. Waits for nothing but a responder that
/// was not asked before.
pub(super) async fn prove(
    tls: &TlsFacts,
    profile: Option<&CertificateProfile>,
    facts: &impl Facts,
    now: Timestamp,
) -> Result<Proved, Problem> {
    facts.note(Note::Check(Check::Authority));
    let shown = tls
        .peer_certificate
        .as_ref()
        .ok_or_else(|| refused("the client showed no certificate"))?;
    let profile = profile.ok_or_else(|| refused("the API knows no certificates"))?;
    let id = &profile.authority;
    let verified = held(shown.hash(), profile.config, id, facts, now, |authority| {
        verify(shown.der(), shown.hash(), tls, profile, authority, now)
    })
    .await?;
    let Holder::Caller {
        standing,
        suspended,
    } = &verified.holder
    else {
        return Err(refused("the certificate is known for another use"));
    };
    // Last, as with keys: who can't show that the name is theirs learns nothing of its state.
    facts.note(Note::Check(Check::Life));
    if *suspended {
        let (id, name) = (&standing.credential, standing.principal.id());
        return Err(refused(format!("{id} is suspended: {name}")));
    }
    let ends = verified.ends();
    Ok(Proved {
        kind: CredentialKind::Mtls,
        standing: standing.clone(),
        expires_at: Some(ends),
        ends: Some(ends),
        issuer: None,
        secret: None,
    })
}

/// A certificate whose path holds: as it was verified before under the same rules and the same state
/// of its authority, or as it is verified now. Its own time is judged each time, and what the
/// authority's responder says of it.
pub(super) async fn held(
    hash: &TokenHash,
    config: ConfigId,
    id: &AuthorityId,
    facts: &impl Facts,
    now: Timestamp,
    verify: impl FnOnce(&Authority) -> Result<VerifiedCertificate, Problem>,
) -> Result<Arc<VerifiedCertificate>, Problem> {
    let authority = facts.authority(id)?;
    facts.note(Note::Check(Check::CertificatePath));
    let before = facts.known_certificate(hash, config);
    let was_known = before.is_some();
    let known =
        before.filter(|known| known.authority == authority.version && now < known.recheck_at);
    let verified = match known {
        Some(known) => known,
        // A search for a path is work that strangers choose.
        None if !was_known && facts.is_held_back() => {
            return Err(refused("the address is held back"));
        }
        None => {
            let verified = Arc::new(verify(&authority)?);
            facts.remember_certificate(*hash, config, verified.clone());
            verified
        }
    };
    // No leeway: the issuing authority chose the time with its own margin (RFC 5280 §4.1.2.5).
    facts.note(Note::Check(Check::CertificateTime));
    if now.as_secs() > verified.not_after.as_secs() {
        return Err(refused("the certificate has expired"));
    }
    if !verified.questions.is_empty() {
        facts.note(Note::Check(Check::CertificateStatus));
        for question in &verified.questions {
            let status = match facts.known_status(id, question, now) {
                Some(status) => status,
                // Apart, so that calls whose answers are known need no room for asking.
                None => Box::pin(facts.certificate_status(id, question, now)).await?,
            };
            not_revoked(status).map_err(|defect| {
                refused(format!(
                    "{}: its responder says so of number {}",
                    defect.code(),
                    question.serial()
                ))
            })?;
        }
    }
    Ok(verified)
}

/// RFC 6960 §2.2: `good` alone lets pass. A certificate that the responder doesn't know may be one
/// that the authority never made.
///
/// # Errors
/// What is wrong with the certificate, of every other answer.
pub const fn not_revoked(status: Status) -> Result<(), X509Defect> {
    match status {
        Status::Good => Ok(()),
        Status::Revoked => Err(X509Defect::Revoked),
        Status::Unknown => Err(X509Defect::RevocationUnknown),
    }
}

fn verify(
    der: &[u8],
    hash: &TokenHash,
    tls: &TlsFacts,
    profile: &CertificateProfile,
    authority: &Authority,
    now: Timestamp,
) -> Result<VerifiedCertificate, Problem> {
    let certificate = Certificate::parse(der).map_err(|defect| refused(defect.code()))?;
    let trusted = certificate
        .verify_chain(
            &tls.peer_intermediates,
            &authority.roots,
            authority.revocation.as_ref(),
            now,
        )
        .map_err(|defect| refused(format!("{}: {}", defect.code(), certificate.subject_dn())))?;
    let (name, identity) = profile
        .identities
        .iter()
        .find_map(|identity| Some((identity.name.find(trusted.certificate())?, identity)))
        .ok_or_else(|| refused("the certificate has no name that the API knows"))?;
    let mut roles = identity.roles.clone();
    roles.sort();
    let membership = identity.application.as_ref();
    let standing = Arc::new(Standing {
        principal: Principal::Service(SubjectId::new(name)),
        credential: credential(hash),
        application: membership.map(|one| one.application.clone()),
        client: None,
        scopes: identity.scopes.clone(),
        roles,
        // The API's own authority and its own list of names admitted it.
        apis: ApiAllow::ByAudience,
        environment: membership.map(|one| one.environment),
        tenant: identity.tenant.clone(),
        networks: identity.networks.clone(),
        origins: Vec::new(),
        claims: serde_json::Map::new(),
    });
    let holder = Holder::Caller {
        standing,
        suspended: identity.suspended,
    };
    Ok(VerifiedCertificate::new(&trusted, authority, holder, now))
}

/// What records call a certificate: marked, so that none is taken for one of our keys.
pub(super) fn credential(hash: &TokenHash) -> CredentialId {
    CredentialId::new(format!("x5t:{hash}"))
}

impl NamePattern {
    /// The name of a certificate that fits, if one does.
    pub(super) fn find<'a>(&self, certificate: &'a Certificate) -> Option<&'a str> {
        let among = |names: &'a [String], fits: &dyn Fn(&str) -> bool| {
            names.iter().map(String::as_str).find(|name| fits(name))
        };
        match self {
            Self::Uri(pattern) => {
                let uris = certificate.uris();
                if pattern.starts_with("spiffe://") && uris.len() != 1 {
                    return None;
                }
                among(uris, &|uri| match pattern.strip_suffix('*') {
                    Some(start) => uri.len() > start.len() && uri.starts_with(start),
                    None => uri == &**pattern,
                })
            }
            Self::Dns(pattern) => among(certificate.dns_names(), &|name| {
                // A wildcard in the certificate is no host's name.
                match pattern.strip_prefix("*.") {
                    Some(parent) => name.split_once('.').is_some_and(|(label, rest)| {
                        !label.is_empty() && label != "*" && rest.eq_ignore_ascii_case(parent)
                    }),
                    None => name.eq_ignore_ascii_case(pattern),
                }
            }),
            Self::Email(pattern) => {
                let (local, domain) = pattern.split_once('@')?;
                among(certificate.emails(), &|email| {
                    // Threat F7: a second `@` makes two addresses of one.
                    email.split_once('@').is_some_and(|(own, at)| {
                        !own.is_empty()
                            && !at.contains('@')
                            && at.eq_ignore_ascii_case(domain)
                            && (local == "*" || own == local)
                    })
                })
            }
            Self::Subject(pattern) => {
                let subject = certificate.subject_dn();
                (!subject.is_empty() && dn_matches(pattern, subject)).then_some(subject)
            }
        }
    }
}
