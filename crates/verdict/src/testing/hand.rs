//! A caller with one good credential of each kind in hand.

use proof::basic::Basic;
use proof::issued::SecretKind;
use proof::secret::Secret;
use serde_json::json;

use super::{NOW, Sent, Stored, World};
use crate::credential::CredentialKind::{self, AdminKey, ApiKey, Basic as BasicKind, Jwt};
use crate::problem::Code;
use crate::route::Route;

/// One credential of each kind, all good.
pub(crate) struct Hand {
    pub(crate) world: World,
    pub(crate) key: String,
    pub(crate) admin: String,
    pub(crate) token: String,
    pub(crate) basic: String,
}

pub(crate) fn hand() -> Hand {
    let mut world = World::new();
    let good = Stored::new(SecretKind::SecretKey);
    let key = world.key(&good);
    let admin = world.key(&Stored {
        kind: SecretKind::AdminKey,
        ..good.clone()
    });
    let token = world.own_token(&json!({}));
    world.account("svc", "pw", &good);
    let pair = Basic::encode("svc", &Secret::from_text("pw".into()));
    let basic = format!("Basic {}", pair.expose_text().unwrap());
    Hand {
        world,
        key,
        admin,
        token,
        basic,
    }
}

impl Hand {
    pub(crate) fn sent(&self, kind: CredentialKind) -> Sent {
        let sent = Sent::get("/orders");
        match kind {
            ApiKey => sent.bearer(&self.key),
            AdminKey => sent.bearer(&self.admin),
            Jwt => sent.bearer(&self.token),
            BasicKind => sent.with("authorization", &self.basic),
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
