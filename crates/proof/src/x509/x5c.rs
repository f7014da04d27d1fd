//! **A chain of certificates in a JOSE header** (`x5c`, RFC 7515 §4.1.6): the signer's own first,
//! then whoever certified it, one after the other, each as base64 of its DER. Reading trusts nothing:
//! [`Certificate::verify_chain`](super::Certificate::verify_chain) says whether somebody vouches for
//! the first. What refers to certificates in other ways (`x5u`, and `x5t` by SHA-1) is not read here
//! and decides nothing.

use std::collections::HashSet;

use serde_json::{Map, Value};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use super::{MAX_INTERMEDIATES, thumbprint};
use crate::base64std;

/// Why a chain in a header can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum X5cDefect {
    /// Not a list of texts with at least one in it.
    #[error("x5c is no list of certificates")]
    NotAList,
    /// More than the signer's own and [`MAX_INTERMEDIATES`] above it.
    #[error("x5c holds too many certificates")]
    TooMany,
    /// One is not canonical base64 with padding; base64url is not either.
    #[error("a certificate of x5c is not canonical base64")]
    NotBase64,
    /// `x5t#S256` is not the thumbprint of the signer's certificate.
    #[error("x5t#S256 is not of the first certificate of x5c")]
    OtherThumbprint,
    /// One is no certificate, or does not certify the one before it.
    #[error("the certificates of x5c do not follow each other")]
    Order,
}

impl X5cDefect {
    /// Stable kebab-case code for logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotAList => "x5c-not-a-list",
            Self::TooMany => "x5c-too-many",
            Self::NotBase64 => "x5c-not-base64",
            Self::OtherThumbprint => "x5c-other-thumbprint",
            Self::Order => "x5c-order",
        }
    }
}

/// The certificates of a header, DER. Nothing in them is proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignerChain {
    leaf: Vec<u8>,
    above: Vec<Vec<u8>>,
}

impl SignerChain {
    /// Reads the chain of a header, if there is one. A thumbprint beside it (`x5t#S256`, RFC 7515
    /// §4.1.8) must be that of the first certificate; by itself it names no key.
    ///
    /// # Errors
    /// [`X5cDefect`], but for [`X5cDefect::Order`].
    pub fn read(header: &Map<String, Value>) -> Result<Option<Self>, X5cDefect> {
        let Some(written) = header.get("x5c") else {
            return Ok(None);
        };
        let list = written.as_array().ok_or(X5cDefect::NotAList)?;
        if list.len() > MAX_INTERMEDIATES + 1 {
            return Err(X5cDefect::TooMany);
        }
        let mut certificates = list.iter().map(|one| {
            let text = one.as_str().ok_or(X5cDefect::NotAList)?;
            base64std::decode(text.as_bytes()).map_err(|_| X5cDefect::NotBase64)
        });
        let leaf = certificates.next().ok_or(X5cDefect::NotAList)??;
        let above = certificates.collect::<Result<_, _>>()?;
        if let Some(claimed) = header.get("x5t#S256")
            && claimed.as_str() != Some(&thumbprint(&leaf))
        {
            return Err(X5cDefect::OtherThumbprint);
        }
        Ok(Some(Self { leaf, above }))
    }

    /// The signer's own certificate.
    pub fn leaf(&self) -> &[u8] {
        &self.leaf
    }

    /// Those above it, the nearest first.
    pub fn above(&self) -> &[Vec<u8>] {
        &self.above
    }

    /// Whether each certificate names the next one as its issuer, and none of them comes twice. The
    /// standard asks for that order. It leaves a search for a path one way to go: in any order, a few
    /// certificates of one name would keep it busy for a hundred signatures.
    ///
    /// # Errors
    /// [`X5cDefect::Order`].
    pub fn in_order(&self) -> Result<(), X5cDefect> {
        let mut seen = HashSet::new();
        let mut expected: Option<&[u8]> = None;
        for der in core::iter::once(&self.leaf).chain(&self.above) {
            let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| X5cDefect::Order)?;
            let subject = parsed.tbs_certificate.subject.as_raw();
            if !rest.is_empty()
                || expected.is_some_and(|name| name != subject)
                || !seen.insert(subject)
            {
                return Err(X5cDefect::Order);
            }
            expected = Some(parsed.tbs_certificate.issuer.as_raw());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa,
        KeyPair,
    };
    use serde_json::json;

    use super::*;
    use crate::{base64url, jose::jws::MAX_CERTIFIED_HEADER_BYTES, x509::Certificate};

    type Ca = CertifiedIssuer<'static, KeyPair>;

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    fn root(name: &str) -> Ca {
        Ca::self_signed(params(name), KeyPair::generate().expect("a key")).expect("signed")
    }

    fn below(issuer: &Ca, name: &str) -> Ca {
        let key = KeyPair::generate().expect("a key");
        Ca::signed_by(params(name), key, issuer).expect("signed")
    }

    fn read(header: &Value) -> Result<Option<SignerChain>, X5cDefect> {
        SignerChain::read(header.as_object().expect("an object"))
    }

    fn chain(of: &[&Ca]) -> SignerChain {
        let list: Vec<_> = of.iter().map(|ca| base64std::encode(ca.der())).collect();
        read(&json!({ "x5c": list }))
            .expect("readable")
            .expect("there")
    }

    #[test]
    fn the_published_chain_is_read_and_fits_into_a_header() {
        const PUBLISHED: &str = include_str!("../../../../vectors/jose/x5c.json");
        let published: Value = serde_json::from_str(PUBLISHED).expect("JSON");
        let header = json!({
            "alg": "RS256", "typ": "client-call+jwt", "x5c": published["x5c"],
        });
        let found = read(&header).expect("readable").expect("there");
        assert_eq!(found.above().len(), 2);
        assert_eq!(found.in_order(), Ok(()));
        let leaf = Certificate::parse(found.leaf()).expect("a certificate");
        let name = "CN=Go Daddy Secure Certification Authority,";
        assert!(leaf.subject_dn().contains(name), "{}", leaf.subject_dn());
        // It is an authority's, for certificates and lists.
        assert!(!leaf.may_sign());
        let text = base64url::encode(header.to_string().as_bytes());
        assert!(text.len() < MAX_CERTIFIED_HEADER_BYTES / 2);
    }

    #[test]
    fn a_chain_is_read_as_it_stands_and_its_thumbprint_is_that_of_the_first() {
        let top = root("top");
        let leaf = below(&top, "leaf");
        let list = [base64std::encode(leaf.der()), base64std::encode(top.der())];
        let whole = json!({ "x5c": list, "x5t#S256": thumbprint(leaf.der()), "x5t": "ignored" });
        let found = read(&whole).expect("readable").expect("there");
        assert_eq!(found.leaf(), &leaf.der()[..]);
        assert_eq!(found.above(), [top.der().to_vec()]);
        assert_eq!(found.in_order(), Ok(()));
        assert_eq!(
            read(&json!({ "x5t#S256": thumbprint(leaf.der()) })),
            Ok(None)
        );
        for other in [
            json!(thumbprint(top.der())),
            json!(""),
            json!(null),
            json!([]),
        ] {
            let header = json!({ "x5c": list, "x5t#S256": other });
            assert_eq!(read(&header), Err(X5cDefect::OtherThumbprint), "{header}");
        }
    }

    #[test]
    fn what_is_no_list_of_base64_is_refused() {
        let der = root("top").der().to_vec();
        let good = base64std::encode(&der);
        let url = base64url::encode(&der);
        let (head, tail) = good.split_at(64);
        for (written, defect) in [
            (json!(good), X5cDefect::NotAList),
            (json!([]), X5cDefect::NotAList),
            (json!(null), X5cDefect::NotAList),
            (json!([[good]]), X5cDefect::NotAList),
            (json!([good, 1]), X5cDefect::NotAList),
            (json!([format!("{url}-_")]), X5cDefect::NotBase64),
            (json!([format!("{head}\n{tail}")]), X5cDefect::NotBase64),
            (json!([format!(" {good}")]), X5cDefect::NotBase64),
            (json!([good, format!("{good}=")]), X5cDefect::NotBase64),
            (json!(vec![&good; 10]), X5cDefect::TooMany),
        ] {
            assert_eq!(read(&json!({ "x5c": written })), Err(defect), "{written}");
        }
        assert!(read(&json!({ "x5c": vec![&good; 9] })).is_ok());
    }

    #[test]
    fn each_certificate_certifies_the_one_before_and_none_comes_twice() {
        let top = root("top");
        let middle = below(&top, "middle");
        let leaf = below(&middle, "leaf");
        let other = root("other");
        for (good, of) in [
            (true, vec![&leaf]),
            (true, vec![&leaf, &middle]),
            (true, vec![&leaf, &middle, &top]),
            (false, vec![&leaf, &top]),
            (false, vec![&leaf, &top, &middle]),
            (false, vec![&leaf, &middle, &other]),
            (false, vec![&middle, &leaf]),
            (false, vec![&leaf, &middle, &top, &top]),
        ] {
            assert_eq!(chain(&of).in_order().is_ok(), good, "{} links", of.len());
        }
        // Many of one name, each by another key, is what would keep a search busy.
        let maze: Vec<_> = (0..8).map(|_| root("same")).collect();
        let mut of = vec![&leaf];
        of.extend(&maze);
        assert_eq!(chain(&of).in_order(), Err(X5cDefect::Order));
        assert_eq!(chain(&of[1..3]).in_order(), Err(X5cDefect::Order));
        let junk = json!({ "x5c": [base64std::encode(leaf.der()), "AAAA"] });
        let junk = read(&junk).expect("readable").expect("there");
        assert_eq!(junk.in_order(), Err(X5cDefect::Order));
    }
}
