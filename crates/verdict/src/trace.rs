//! **What was checked**: the notes that judging leaves for whoever explains a call.
//!
//! A call is explained by judging it with the very code that judges calls, over facts that listen
//! ([`crate::facts::Facts::note`]). Standard facts do not listen, and then a note costs nothing. A
//! check is named before it is made: if the call is refused before the next note, it is the one that
//! did not hold, and if not, it held. Nothing that was presented is in a note.

use http::header::AUTHORIZATION;

use crate::call::Head;
use crate::credential::{self, CredentialKind};
use crate::identity::{SecretId, Standing};
use crate::policy::Judgement;
use crate::route::{Demand, Route};

/// A note of judging.
#[derive(Debug, Clone, Copy)]
pub enum Note<'a> {
    /// The proof of a presented credential begins.
    Credential(CredentialKind),
    /// A check begins.
    Check(Check),
    /// A credential proved what it stands for, by this one of its secrets or keys where it can have
    /// several.
    Proved(CredentialKind, &'a Standing, Option<&'a SecretId>),
    /// A relation or a policy was asked, and this was its answer.
    Judged(&'a Judgement),
}

macro_rules! checks {
    ($($(#[$doc:meta])* $name:ident = ($text:literal, $label:literal, $source:expr),)*) => {
        /// Everything that is checked of a call once its route is known.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Check { $($(#[$doc])* $name,)* }
        impl Check {
            /// Every check, in the order in which most calls meet them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
            /// Its stable name.
            pub fn name(self) -> &'static str { match self { $(Self::$name => $text,)* } }
            /// What holds when it holds, in words.
            pub fn label(self) -> &'static str { match self { $(Self::$name => $label,)* } }
            /// Where it is written, where that is a published text.
            pub fn source(self) -> Option<&'static str> { match self { $(Self::$name => $source,)* } }
        }
    };
}

checks! {
    /// No credential stands in the URL.
    Exposed = ("url", "no credential in the URL", Some("RFC 6750 §5.3")),
    /// What is presented is exactly one of the route's combinations.
    Presented = ("presented", "exactly one combination that the route takes", Some("RFC 9110 §11.6.2")),
    /// The connection is one that the credential may cross.
    Transport = ("transport", "the connection is encrypted", Some("RFC 7617 §4")),
    /// User name and password can be read.
    Pair = ("pair", "user name and password can be read", Some("RFC 7617 §2")),
    /// They are those of an account.
    Password = ("password", "the password is the account's", None),
    /// A key of this public id is known, and its secret is the one presented.
    Key = ("key", "the key is known and its secret is right", None),
    /// What is known of the key is what its text says of itself.
    KeyRecord = ("key-record", "the record is of this very key", None),
    /// Whether a JWT comes encrypted or not, as the API demands it.
    Encryption = ("encryption", "it is encrypted where the API asks for that", Some("RFC 7516 §7.1")),
    /// The key that opens an encrypted token.
    Decryption = ("decryption", "a key of the API opens it, and a JWT is in it", Some("RFC 7516 §5.2")),
    /// The shape of a token.
    TokenShape = ("token-shape", "the token is a compact JWS", Some("RFC 7515 §7.1")),
    /// The issuer is one that the API trusts.
    Issuer = ("issuer", "its issuer is one that the API trusts", Some("RFC 9068 §4")),
    /// The algorithm is one that the issuer's keys are pinned to.
    Algorithm = ("algorithm", "its algorithm is accepted", Some("RFC 8725 §3.1")),
    /// The issuer has the key that the token names.
    VerificationKey = ("verification-key", "the issuer has the key it names", Some("RFC 7517 §4.5")),
    /// The token's signature.
    Signature = ("signature", "its signature holds", Some("RFC 7515 §5.2")),
    /// An issuer has the key that a PASETO names.
    TokenKey = ("token-key", "an issuer that the API trusts has the key it names", None),
    /// What a PASETO was made with.
    TokenSeal = ("token-seal", "it was made with that key", None),
    /// The claims that an access token must have, and those that it must not.
    Claims = ("claims", "its claims are those of an access token", Some("RFC 9068 §2.2")),
    /// A client that signs its own calls.
    CallingClient = ("calling-client", "its client is known and may sign its calls", None),
    /// What a client says of its call in the token that it signed.
    CallClaims = ("call-claims", "it is for this very call, within its time, and asks for no more than is held", Some("RFC 7519 §4.1")),
    /// A token that a client signed for one call is used for the first time.
    TokenReplay = ("token-replay", "the token is used for the first time", Some("RFC 7519 §4.1.7")),
    /// Our issuer keeps a record of the opaque token.
    TokenRecord = ("token-record", "the issuer keeps such a token", None),
    /// The token's times.
    Times = ("times", "it is within its time", Some("RFC 7519 §4.1.4")),
    /// The token's audience.
    Audience = ("audience", "it is for this API", Some("RFC 7519 §4.1.3")),
    /// Nobody revoked the token.
    Revocation = ("revocation", "it is not revoked", Some("RFC 7009 §2")),
    /// The client that the credential was given to, or that signed the call.
    ClientLife = ("client-life", "its client is not suspended", None),
    /// The token came from whom it was given to.
    Binding = ("binding", "it comes as it is bound", Some("RFC 7800 §3")),
    /// A proof of possession is used for the first time.
    ProofReplay = ("proof-replay", "the proof is used for the first time", Some("RFC 9449 §11.1")),
    /// The authority of the certificates that are taken here is at hand.
    Authority = ("authority", "there is a certificate, and it is known who must vouch for it", None),
    /// Somebody vouches for the certificate, and nothing on the path is revoked.
    CertificatePath = ("certificate-path", "its path leads to that authority, nothing on it is revoked, and it has a name that is known here", Some("RFC 5280 §6")),
    /// The certificate's own time.
    CertificateTime = ("certificate-time", "it is within its time", Some("RFC 5280 §4.1.2.5")),
    /// The responder of the authority has not revoked it.
    CertificateStatus = ("certificate-status", "the authority's responder calls it good", Some("RFC 6960 §2.2")),
    /// The key of the certificate that a client's JWT brings along.
    CertifiedKey = ("certified-key", "the certified key is for the token's algorithm", Some("RFC 7515 §4.1.6")),
    /// The signing key that a signature names.
    SigningKey = ("signing-key", "the key it names is known and for this scheme", None),
    /// The signature over the request.
    RequestSignature = ("request-signature", "the signature over the request holds", None),
    /// The signature is used for the first time.
    SignatureReplay = ("signature-replay", "the signature is used for the first time", None),
    /// The credential's life: its state, its end.
    Life = ("life", "it is active and within its time", None),
    /// The body is the one that was signed.
    SignedBody = ("signed-body", "the body is the one that was signed", None),
    /// Live credentials for live APIs, test ones for test APIs.
    Environment = ("environment", "it is of the API's environment", None),
    /// The credential lists the API.
    Apis = ("apis", "it may be used for this API", None),
    /// The credential may be used from this address.
    Networks = ("networks", "it may be used from this address", None),
    /// The credential may be used by this page.
    Origins = ("origins", "it may be used from this origin", Some("RFC 6454 §6.2")),
    /// It did not end while the call was judged.
    Meanwhile = ("meanwhile", "it has not ended meanwhile", None),
    /// The scopes that the route asks for.
    Scopes = ("scopes", "every scope that the route asks for is held", Some("RFC 6750 §3.1")),
    /// The roles of which the route asks for one.
    Roles = ("roles", "a role that the route asks for is held", None),
    /// The caller was not refused many different objects lately.
    Probing = ("probing", "the caller was not refused many different objects lately", None),
    /// The relations to the objects that the call names.
    Objects = ("objects", "the caller is to every object that the call names what the route asks for", None),
    /// The policies of the API and the route.
    Policies = ("policies", "every policy of the route allows it", None),
}

/// A credential that was found in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The field, `query` or `certificate`.
    pub place: String,
    /// Its kind, as far as that can be told.
    pub kind: Option<CredentialKind>,
    /// Why it can't be read, if it can't.
    pub flaw: Option<Box<str>>,
}

/// Which credentials a call carries in the places where its route looks for some. None on a public
/// route: nobody looks there.
pub fn presented(head: &Head, route: &Route) -> Vec<Seen> {
    let Demand::OneOf(combinations) = &route.demand else {
        return Vec::new();
    };
    let mut fields = route
        .api
        .key_headers
        .iter()
        .filter(|name| **name != credential::X_API_KEY);
    let mut fields: Vec<_> = core::iter::once(&credential::X_API_KEY)
        .chain(&mut fields)
        .flat_map(|name| head.headers().get_all(name).iter().map(move |_| name))
        .rev()
        .collect();
    let mut authorization = head.headers().contains_key(AUTHORIZATION);
    let mut seen: Vec<_> = credential::found(head, route, combinations)
        .into_iter()
        .map(|(kind, flaw)| {
            let place = match kind {
                _ if core::mem::take(&mut authorization) => "authorization".to_owned(),
                Some(CredentialKind::SigV4) => "query".to_owned(),
                Some(CredentialKind::HttpSignature) => {
                    credential::signed::SIGNATURE_INPUT.as_str().to_owned()
                }
                Some(CredentialKind::ApiKey) => fields
                    .pop()
                    .map_or("field", |name| name.as_str())
                    .to_owned(),
                _ => "field".to_owned(),
            };
            Seen { place, kind, flaw }
        })
        .collect();
    let certificate = head
        .arrival()
        .tls
        .as_deref()
        .is_some_and(|tls| tls.peer_certificate.is_some());
    if certificate && route.takes(CredentialKind::Mtls) {
        seen.push(Seen {
            place: "certificate".to_owned(),
            kind: Some(CredentialKind::Mtls),
            flaw: None,
        });
    }
    seen
}

#[cfg(test)]
mod tests;
