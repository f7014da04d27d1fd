//! Requests that their callers sign.

use super::*;

pub(super) fn signed<'a>(rows: &mut Rows<'a>, signers: &'a Signers) {
    let scheme = signers.good.scheme;
    let kind = match scheme {
        Scheme::SigV4 => CredentialKind::SigV4,
        Scheme::HttpSignature => CredentialKind::HttpSignature,
        Scheme::Hmac => CredentialKind::Hmac,
    };
    let base = scheme.name().replace('_', "-");
    let (me, write) = (format!("/{base}/me"), format!("/{base}/write"));
    let call = |signer: &'a Signatory, path: &str, sent_to: &str, at: fn() -> Timestamp| {
        let (path, sent_to) = (path.to_owned(), sent_to.to_owned());
        move || {
            let target = Target {
                method: "GET",
                scheme: "https",
                authority: "localhost",
                path: &path,
            };
            let mut call = Call::get(&sent_to);
            call.fields = signer.fields(&target, at());
            call
        }
    };
    rows.add(kind, "none", call(&signers.good, &me, &me, moment));
    let path = me.clone();
    rows.add(kind, "missing", move || Call::get(&path));
    let path = me.clone();
    rows.add(kind, "malformed", move || {
        let call = Call::get(&path);
        match scheme {
            Scheme::SigV4 => call.with("authorization", "AWS4-HMAC-SHA256 Credential=x"),
            Scheme::HttpSignature => call
                .with("signature-input", "sig1=(")
                .with("signature", "sig1=:AA==:"),
            Scheme::Hmac => call.with("authorization", "HMAC-SHA256 keyid=x"),
        }
    });
    for (defect, signer) in &signers.others {
        rows.add(kind, defect, call(signer, &me, &me, moment));
    }
    rows.add(
        kind,
        "signed for another address",
        call(&signers.good, &write, &me, moment),
    );
    rows.add(
        kind,
        "signed an hour ago",
        call(&signers.good, &me, &me, long_ago),
    );
    rows.add(
        kind,
        "signed in an hour",
        call(&signers.good, &me, &me, || {
            moment().plus(Duration::from_secs(3600))
        }),
    );
    rows.twice(kind, "replayed", call(&signers.good, &me, &me, moment));
    if scheme == Scheme::SigV4 {
        let path = me.clone();
        rows.add(kind, "for another region", move || {
            let mut signer = signers.good.clone();
            signer.region = "elsewhere".to_owned();
            let target = Target {
                method: "GET",
                scheme: "https",
                authority: "localhost",
                path: &path,
            };
            let mut call = Call::get(&path);
            call.fields = signer.fields(&target, moment());
            call
        });
    }
    rows.add(
        kind,
        "without the scope",
        call(&signers.good, &write, &write, moment),
    );
}
