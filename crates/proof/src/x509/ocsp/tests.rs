use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    PublicKeyData as _, SigningKey as _,
};

use super::*;
use crate::x509::{Certificate, TrustRoots};

/// Certificates, questions and answers of OpenSSL's responder; see `vectors/ocsp/make`.
macro_rules! made {
    ($name:literal) => {
        include_bytes!(concat!("../../../../../vectors/ocsp/", $name))
    };
}

/// When the answers were made.
fn made_at() -> Timestamp {
    let text = std::str::from_utf8(made!("made-at")).unwrap();
    Timestamp::from_secs(text.trim().parse().unwrap())
}

fn later(seconds: u64) -> Timestamp {
    made_at().plus(Duration::from_secs(seconds))
}

/// The questions about the path of a certificate under one of `roots`.
fn questions(certificate: &[u8], between: &[&[u8]], roots: &[u8]) -> Vec<Question> {
    let certificate = &Certificate::from_pem(certificate).unwrap()[0];
    let between: Vec<_> = between
        .iter()
        .map(|pem| Certificate::from_pem(pem).unwrap()[0].der().to_vec())
        .collect();
    certificate
        .verify_chain(
            &between,
            &TrustRoots::from_pem(roots).unwrap(),
            None,
            later(60),
        )
        .unwrap()
        .path()
        .to_vec()
}

fn good() -> Question {
    questions(made!("good.pem"), &[], made!("ca.pem")).remove(0)
}

fn revoked() -> Question {
    questions(made!("revoked.pem"), &[], made!("ca.pem")).remove(0)
}

fn says(question: &Question, answer: &[u8]) -> Result<Status, OcspDefect> {
    question.read(answer, later(60)).map(|answer| answer.status)
}

#[test]
fn a_question_is_what_openssl_would_ask() {
    assert_eq!(good().request(), made!("good.req.der"));
    assert_eq!(revoked().request(), made!("revoked.req.der"));
    assert_eq!(good().serial(), "1001");
    assert_eq!(revoked().serial(), "009002");
    assert_ne!(good().id(), revoked().id());
    let rsa = questions(made!("rsa-good.pem"), &[], made!("rsa.pem"));
    assert_eq!(rsa[0].request(), made!("rsa.req.der"));
    // The same number under another issuer is another certificate.
    assert_ne!(rsa[0].id(), good().id());
}

#[test]
fn every_certificate_of_a_path_but_the_root_can_be_asked_about() {
    let path = questions(made!("below.pem"), &[made!("between.pem")], made!("ca.pem"));
    let requests: Vec<_> = path.iter().map(Question::request).collect();
    assert_eq!(requests, [made!("below.req.der"), made!("between.req.der")]);
    assert_eq!(says(&path[0], made!("below.der")), Ok(Status::Good));
    assert_eq!(says(&path[1], made!("between.der")), Ok(Status::Good));
    // A certificate says nothing about itself, though it may about those that it issued.
    assert_eq!(
        says(&path[1], made!("below.der")),
        Err(OcspDefect::NotAuthorized)
    );
    // Neither may the issuer's issuer answer for it.
    assert_eq!(
        says(&path[0], made!("below-above.der")),
        Err(OcspDefect::NotAuthorized)
    );
}

#[test]
fn what_openssl_answers_is_understood() {
    let unknown = questions(made!("unknown.pem"), &[], made!("ca.pem")).remove(0);
    let rsa = questions(made!("rsa-good.pem"), &[], made!("rsa.pem")).remove(0);
    for (question, answer, status) in [
        (good(), &made!("good.der")[..], Status::Good),
        (good(), made!("good-by-key.der"), Status::Good),
        (good(), made!("good-delegated.der"), Status::Good),
        (revoked(), made!("revoked.der"), Status::Revoked),
        (unknown, made!("unknown.der"), Status::Unknown),
        (rsa, made!("rsa.der"), Status::Good),
        // One answer about two certificates, ours second and first.
        (good(), made!("both.der"), Status::Good),
        (revoked(), made!("both.der"), Status::Revoked),
    ] {
        let read = question.read(answer, later(60)).unwrap();
        assert_eq!(read.status, status);
        assert_eq!(read.ends, later(30 * 86_400));
    }
    let open = made!("good-without-end.der");
    assert_eq!(good().read(open, later(60)).unwrap().ends, later(600));
}

#[test]
fn h05_an_answer_counts_only_from_who_may_give_it() {
    use OcspDefect::{NotAuthorized, OtherCertificate, Responder, Signature};
    for (what, answer, defect) in [
        (
            "a certificate without the purpose",
            &made!("no-purpose.der")[..],
            NotAuthorized,
        ),
        ("the client itself", made!("client.der"), NotAuthorized),
        (
            "another authority's responder",
            made!("stranger.der"),
            NotAuthorized,
        ),
        ("another authority", made!("other.der"), NotAuthorized),
        (
            "another authority of the same name",
            made!("namesake.der"),
            NotAuthorized,
        ),
        (
            "the responder left its certificate out",
            made!("without-certificate.der"),
            Responder,
        ),
        ("another hash", made!("sha256.der"), OtherCertificate),
        ("another number", made!("revoked.der"), OtherCertificate),
        ("another issuer", made!("rsa.der"), NotAuthorized),
    ] {
        assert_eq!(says(&good(), answer), Err(defect), "{what}");
    }
    let rsa = questions(made!("rsa-good.pem"), &[], made!("rsa.pem")).remove(0);
    assert_eq!(says(&rsa, made!("rsa-sha1.der")), Err(Signature));
    // A responder's certificate ends, and with it what it signed.
    let (day, then) = (later(3600), later(2 * 86_400));
    assert!(good().read(made!("expired.der"), day).is_ok());
    assert_eq!(good().read(made!("expired.der"), then), Err(NotAuthorized));
    assert!(good().read(made!("good-delegated.der"), then).is_ok());
}

#[test]
fn c14_an_answer_counts_within_its_times() {
    let ahead = |seconds: u64| made_at().minus(Duration::from_secs(seconds));
    // Signed by the issuer itself, so that no other certificate's time has a say.
    let month = 30 * 86_400;
    for (answer, now, expected) in [
        (&made!("good.der")[..], ahead(59), None),
        (made!("good.der"), ahead(61), Some(OcspDefect::Future)),
        (made!("good.der"), later(month - 1), None),
        (made!("good.der"), later(month), Some(OcspDefect::Outdated)),
        (made!("good-without-end.der"), later(599), None),
        (
            made!("good-without-end.der"),
            later(600),
            Some(OcspDefect::Outdated),
        ),
    ] {
        assert_eq!(good().read(answer, now).err(), expected, "{now:?}");
    }
}

#[test]
fn a_changed_byte_a_missing_end_and_something_behind_it_refuse() {
    let answer = made!("good.der");
    let question = good();
    // The issuer's own certificate rides along unsigned, and nobody needs it.
    let issuer = &Certificate::from_pem(made!("ca.pem")).unwrap()[0];
    let signed = answer.len() - issuer.der().len();
    for at in 0..answer.len() {
        assert!(says(&question, &answer[..at]).is_err(), "{at}");
        let mut changed = answer.to_vec();
        changed[at] ^= 1;
        let read = says(&question, &changed);
        assert!(read.is_err() || at >= signed, "{at}");
        // And never anything else than what was signed.
        assert!(matches!(read, Err(_) | Ok(Status::Good)), "{at}");
    }
    let behind = [&answer[..], b"\0"].concat();
    assert_eq!(says(&question, &behind), Err(OcspDefect::NotDer));
    let long = vec![0x30; MAX_RESPONSE_BYTES + 1];
    assert_eq!(says(&question, &long), Err(OcspDefect::TooLong));
}

#[test]
fn a_responder_that_declines_says_why() {
    for (status, declined) in [
        (1, Declined::MalformedRequest),
        (2, Declined::InternalError),
        (3, Declined::TryLater),
        (5, Declined::SigRequired),
        (6, Declined::Unauthorized),
    ] {
        assert_eq!(
            says(&good(), &[0x30, 3, 0x0a, 1, status]),
            Err(OcspDefect::Declined(declined))
        );
    }
    for bad in [
        &[0x30, 3, 0x0a, 1, 4][..],
        &[0x30, 3, 0x0a, 1, 0],
        &[0x30, 2, 0x0a, 0],
        b"<html>",
        b"",
    ] {
        assert_eq!(says(&good(), bad), Err(OcspDefect::NotDer), "{bad:?}");
    }
}

/// An authority of which the tests have the key, so that it signs what no responder would.
struct Signer {
    ca: CertifiedIssuer<'static, KeyPair>,
    question: Question,
}

/// What an answer is made of; see [`Signer::answer`].
#[derive(Clone)]
struct Shape {
    kind: &'static [u8],
    version: Vec<u8>,
    responder: Vec<u8>,
    singles: Vec<Vec<u8>>,
    extensions: Vec<u8>,
    certificates: Vec<Vec<u8>>,
}

fn at(time: Timestamp) -> Vec<u8> {
    let text = calendar::basic(time).replace('T', "");
    write(GENERALIZED_TIME, &[text.as_bytes()])
}

fn extensions(critical: bool) -> Vec<u8> {
    let flag: &[u8] = if critical { &[BOOLEAN, 1, 0xff] } else { &[] };
    let one = write(
        SEQUENCE,
        &[
            &write(OBJECT_IDENTIFIER, &[&[0x2a, 3, 4]]),
            flag,
            &write(OCTET_STRING, &[b"x"]),
        ],
    );
    write(AROUND_1, &[&write(SEQUENCE, &[&one])])
}

impl Signer {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let own = CertificateParams::default()
            .signed_by(&KeyPair::generate().unwrap(), &ca)
            .unwrap();
        let certificate = Certificate::parse(own.der()).unwrap();
        let roots = TrustRoots::from_der(&[ca.der()]).unwrap();
        let none: &[&[u8]] = &[];
        let question = certificate
            .verify_chain(none, &roots, None, made_at())
            .unwrap()
            .path()[0]
            .clone();
        Self { ca, question }
    }

    fn single(&self, status: &[u8], this: Timestamp, more: &[u8]) -> Vec<u8> {
        let id = self.question.cert_id();
        write(SEQUENCE, &[&id, status, &at(this), more])
    }

    /// What holds, to be spoiled in one place.
    fn shape(&self) -> Shape {
        Shape {
            kind: BASIC,
            version: Vec::new(),
            responder: write(
                AROUND_2,
                &[&write(OCTET_STRING, &[&self.question.key_hash])],
            ),
            singles: vec![self.single(&[0x80, 0], made_at(), &[])],
            extensions: Vec::new(),
            certificates: Vec::new(),
        }
    }

    fn answer(&self, shape: &Shape, key: &KeyPair) -> Vec<u8> {
        let data = write(
            SEQUENCE,
            &[
                &shape.version,
                &shape.responder,
                &at(made_at()),
                &write(SEQUENCE, &[&shape.singles.concat()]),
                &shape.extensions,
            ],
        );
        // ecdsa-with-SHA256 (RFC 5758 §3.2): 1.2.840.10045.4.3.2.
        let algorithm = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
        let algorithm = write(SEQUENCE, &[&write(OBJECT_IDENTIFIER, &[&algorithm])]);
        let signature = key.sign(&data).unwrap();
        let list = write(SEQUENCE, &[&shape.certificates.concat()]);
        let certificates = match shape.certificates.is_empty() {
            true => Vec::new(),
            false => write(AROUND_0, &[&list]),
        };
        let signature = write(BIT_STRING, &[&[0], &signature]);
        let basic = write(SEQUENCE, &[&data, &algorithm, &signature, &certificates]);
        let bytes = write(
            SEQUENCE,
            &[
                &write(OBJECT_IDENTIFIER, &[shape.kind]),
                &write(OCTET_STRING, &[&basic]),
            ],
        );
        write(
            SEQUENCE,
            &[&[ENUMERATED, 1, 0], &write(AROUND_0, &[&bytes])],
        )
    }

    fn judged(&self, spoil: impl FnOnce(&mut Shape)) -> Result<Status, OcspDefect> {
        let mut shape = self.shape();
        spoil(&mut shape);
        says(&self.question, &self.answer(&shape, self.ca.key()))
    }

    /// A certificate of this authority for answering, as `change` leaves it, with its key.
    fn responder(&self, change: impl FnOnce(&mut CertificateParams)) -> (Vec<u8>, KeyPair) {
        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        (
            params.signed_by(&key, &self.ca).unwrap().der().to_vec(),
            key,
        )
    }
}

type Spoil = Box<dyn FnOnce(&mut Shape)>;

fn singles(singles: Vec<Vec<u8>>) -> Spoil {
    Box::new(|shape| shape.singles = singles)
}

#[test]
fn what_no_honest_responder_signs_is_refused_all_the_same() {
    let signer = Signer::new();
    assert_eq!(signer.judged(|_| ()), Ok(Status::Good));
    assert_eq!(
        signer.judged(|shape| shape.extensions = extensions(false)),
        Ok(Status::Good)
    );
    let next = |after: u64| write(AROUND_0, &[&at(later(after))]);
    let single = |status: &[u8], more: &[u8]| vec![signer.single(status, made_at(), more)];
    let revoked = |reason: &[u8]| write(AROUND_1, &[&at(made_at()), reason]);
    let on_hold = write(AROUND_0, &[&[ENUMERATED, 1, 6]]);
    let many = vec![signer.ca.der().to_vec(); MAX_RESPONDERS + 1];
    let cases: [(&str, Spoil, Result<Status, OcspDefect>); 18] = [
        (
            "on hold is revoked",
            singles(single(&revoked(&on_hold), &[])),
            Ok(Status::Revoked),
        ),
        (
            "revoked without a reason",
            singles(single(&revoked(&[]), &next(3600))),
            Ok(Status::Revoked),
        ),
        (
            "revoked with something else",
            singles(single(&revoked(&[NULL, 0]), &[])),
            Err(OcspDefect::NotDer),
        ),
        (
            "good with a content",
            singles(single(&[0x80, 1, 0], &[])),
            Err(OcspDefect::NotDer),
        ),
        (
            "no status at all",
            singles(single(&[], &[])),
            Err(OcspDefect::NotDer),
        ),
        (
            "it ends before it begins",
            singles(single(&[0x80, 0], &next(0))),
            Err(OcspDefect::NotDer),
        ),
        (
            "something behind the extensions",
            singles(single(
                &[0x80, 0],
                &[&extensions(false)[..], &[NULL, 0]].concat(),
            )),
            Err(OcspDefect::NotDer),
        ),
        (
            "a critical extension of the certificate's",
            singles(single(&[0x80, 0], &extensions(true))),
            Err(OcspDefect::CriticalExtension),
        ),
        (
            "a critical extension of the whole",
            Box::new(|shape| shape.extensions = extensions(true)),
            Err(OcspDefect::CriticalExtension),
        ),
        (
            "the certificate twice",
            Box::new(|shape| shape.singles.extend(shape.singles.clone())),
            Err(OcspDefect::Twice),
        ),
        (
            "nobody",
            singles(Vec::new()),
            Err(OcspDefect::OtherCertificate),
        ),
        (
            "another kind of answer",
            Box::new(|shape| shape.kind = &[0x2a, 3]),
            Err(OcspDefect::NotDer),
        ),
        (
            "another version",
            Box::new(|shape| shape.version = write(AROUND_0, &[&[INTEGER, 1, 1]])),
            Err(OcspDefect::NotDer),
        ),
        (
            "the only version, written out",
            Box::new(|shape| shape.version = write(AROUND_0, &[&[INTEGER, 1, 0]])),
            Err(OcspDefect::NotDer),
        ),
        (
            "signed by the issuer under another key's name",
            Box::new(|shape| {
                shape.responder = write(AROUND_2, &[&write(OCTET_STRING, &[&[7; 20]])])
            }),
            Err(OcspDefect::Responder),
        ),
        (
            "signed by the issuer under another name",
            Box::new(|shape| shape.responder = write(AROUND_1, &[&write(SEQUENCE, &[])])),
            Err(OcspDefect::Responder),
        ),
        (
            "more certificates than are looked at",
            Box::new(|shape| shape.certificates = many),
            Err(OcspDefect::NotDer),
        ),
        (
            "a certificate that is none",
            Box::new(|shape| shape.certificates = vec![vec![SEQUENCE, 0]]),
            Ok(Status::Good),
        ),
    ];
    for (what, spoil, expected) in cases {
        assert_eq!(signer.judged(spoil), expected, "{what}");
    }
}

#[test]
fn a_delegated_responder_is_named_within_its_time_and_signs_itself() {
    let signer = Signer::new();
    let by = |certificate: &[u8], key: &KeyPair, named: &[u8]| {
        let mut shape = signer.shape();
        let named = key_hash(named).unwrap();
        shape.responder = write(AROUND_2, &[&write(OCTET_STRING, &[&named])]);
        shape.certificates = vec![signer.ca.der().to_vec(), certificate.to_vec()];
        says(&signer.question, &signer.answer(&shape, key))
    };
    let spki = |key: &KeyPair| key.subject_public_key_info();
    let (own, key) = signer.responder(|_| ());
    assert_eq!(by(&own, &key, &spki(&key)), Ok(Status::Good));
    // It names somebody else, or somebody else signed.
    let stranger = KeyPair::generate().unwrap();
    assert_eq!(by(&own, &key, &spki(&stranger)), Err(OcspDefect::Responder));
    assert_eq!(by(&own, &stranger, &spki(&key)), Err(OcspDefect::Signature));
    for change in [
        (|params: &mut CertificateParams| params.not_after = rcgen::date_time_ymd(2026, 1, 1))
            as fn(&mut CertificateParams),
        |params| params.not_before = rcgen::date_time_ymd(2090, 1, 1),
        |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any],
        |params| params.extended_key_usages.clear(),
        // An authority below is no responder, whatever it says of itself.
        |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
    ] {
        let (own, key) = signer.responder(change);
        assert_eq!(by(&own, &key, &spki(&key)), Err(OcspDefect::NotAuthorized));
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes: Vec<u8>) {
        proptest::prop_assert!(says(&good(), &bytes).is_err());
    }
}
