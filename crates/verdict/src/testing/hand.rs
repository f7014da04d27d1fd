//! A caller with one good credential of each kind in hand.

use std::sync::Arc;

use proof::basic::Basic;
use proof::issued::SecretKind;
use proof::secret::Secret;
use proof::webhook::Style;
use serde_json::json;

use super::pki::Ca;
use super::signing::Caller;
use super::webhook;
use super::{NOW, Sent, Stored, World};
use crate::call::TlsFacts;
use crate::credential::CredentialKind::{
    self, AdminKey, ApiKey, Basic as BasicKind, ClientJwt, Hmac, HttpSignature, Jwt, Mtls, Opaque,
    Paseto, SigV4, Webhook,
};
use crate::credential::jwt::ConfigId;
use crate::credential::mtls::{AuthorityId, CertificateIdentity, CertificateProfile, NamePattern};
use crate::identity::Scopes;
use crate::problem::Code;
use crate::route::Route;

/// One credential of each kind, all good.
pub(crate) struct Hand {
    pub(crate) world: World,
    pub(crate) key: String,
    pub(crate) admin: String,
    pub(crate) token: String,
    pub(crate) opaque: String,
    pub(crate) basic: String,
    pub(crate) session: TlsFacts,
    pub(crate) callers: Vec<Caller>,
}

pub(crate) fn hand() -> Hand {
    let mut world = World::knowing(CertificateProfile {
        config: ConfigId(9),
        authority: AuthorityId::new("partners"),
        identities: vec![CertificateIdentity {
            name: NamePattern::Uri("spiffe://example.org/billing".into()),
            scopes: Scopes::new(["orders:read"]),
            roles: Vec::new(),
            tenant: None,
            application: None,
            networks: Vec::new(),
            suspended: false,
        }],
    });
    let ca = Ca::new();
    let vouched = ca.authority(1, None);
    let authorities = &world.facts.authorities;
    authorities
        .lock()
        .unwrap()
        .insert("partners".to_owned(), vouched);
    let good = Stored::new(SecretKind::SecretKey);
    let key = world.key(&good);
    let admin = world.key(&Stored {
        kind: SecretKind::AdminKey,
        ..good.clone()
    });
    let token = world.own_token(&json!({}));
    let opaque = world.opaque_token(&json!({}));
    world.account("svc", "pw", &good);
    let pair = Basic::encode("svc", &Secret::from_text("pw".into()));
    let basic = format!("Basic {}", pair.expose_text().unwrap());
    let callers = [SigV4, HttpSignature, Hmac].map(Caller::new).to_vec();
    for caller in &callers {
        let key = caller.stored(&good);
        world.facts.signing_keys.insert(caller.key_id.clone(), key);
    }
    let sender = webhook::stored(&good, webhook::SECRET);
    let signing_keys = &mut world.facts.signing_keys;
    signing_keys.insert(webhook::SENDER.to_owned(), sender);
    Hand {
        world,
        key,
        admin,
        token,
        opaque,
        basic,
        session: ca.session(|_| {}),
        callers,
    }
}

impl Hand {
    pub(crate) fn sent(&self, kind: CredentialKind) -> Sent {
        let sent = Sent::get("/orders");
        match kind {
            ApiKey => sent.bearer(&self.key),
            AdminKey => sent.bearer(&self.admin),
            Jwt => sent.bearer(&self.token),
            Opaque => sent.bearer(&self.opaque),
            Paseto => sent.bearer(&self.world.paseto(&json!({}))),
            ClientJwt => sent.bearer(&self.world.client_jwt(&json!({}))),
            BasicKind => sent.with("authorization", &self.basic),
            SigV4 | HttpSignature | Hmac => {
                let caller = self.callers.iter().find(|one| one.kind == kind).unwrap();
                caller.sign(sent, b"")
            }
            Webhook => webhook::delivery(Style::Stripe, "", b"", NOW),
            Mtls => {
                let mut sent = sent;
                sent.arrival.tls = Some(Arc::new(self.session.clone()));
                sent
            }
        }
    }

    /// The kind that names the principal, or why not.
    pub(crate) fn code(&self, sent: Sent, route: &Route) -> Result<CredentialKind, Code> {
        match self.world.judge(sent.call(), route, NOW) {
            Ok(permitted) => Ok(permitted.identity().unwrap().kind()),
            Err(refused) => Err(refused.problem.code),
        }
    }
}
