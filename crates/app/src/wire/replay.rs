//! **Judging recorded calls again**: the admin API's question put to documents as they would be,
//! with the facts of this node.

use std::collections::HashMap;
use std::sync::Arc;

use proof::time::Timestamp;
use registry::document::Document;
use registry::meaning::Meaning;
use registry::policy::PolicySource;
use registry::ports::{Registry as _, StoreError};
use registry::record::Decision;
use registry::usecase::{Refusal, resource};
use verdict::facts::Unavailable;
use verdict::policy::{Replayed, replay};
use verdict::route::Route;
use web::admin::{Again, Replayer, Replaying};

use super::Shared;
use crate::policies;

impl Replayer for Shared {
    fn replay<'a>(
        &'a self,
        documents: &'a [Document],
        calls: &'a [Decision],
        now: Timestamp,
    ) -> Replaying<'a> {
        Box::pin(async move {
            let stored = self.store.resources(None).await?;
            let mut all = resource::documents(&stored)?;
            for document in documents {
                all.retain(|one| one.kind() != document.kind() || one.name != document.name);
                all.push(document.clone());
            }
            let meaning =
                registry::meaning::mean_all(&all, &self.context).map_err(Refusal::Flawed)?;
            self.versions_of(&meaning);
            let routes = routes(&meaning);
            let mut again = Vec::with_capacity(calls.len());
            for call in calls {
                again.push(self.again(&routes, call, now).await?);
            }
            Ok(again)
        })
    }
}

/// Routes by API and name.
type Routes<'m> = HashMap<(&'m str, &'m str), &'m Arc<Route>>;

fn routes(meaning: &Meaning) -> Routes<'_> {
    let apis = meaning.apis.iter();
    apis.flat_map(|api| {
        let name = api.judged.name.as_str();
        let of = api.routes.iter().map(|route| &route.judged);
        of.map(move |route| ((name, route.name.as_str()), route))
    })
    .collect()
}

impl Shared {
    /// Gives policies whose texts stand elsewhere the versions that they have now. One that has none
    /// fails, as it would at a call.
    fn versions_of(&self, meaning: &Meaning) {
        let base = super::base_of(self.reload.path());
        let running = self.policies.load();
        for policy in &meaning.policies {
            let version = match &policy.source {
                PolicySource::Inline => continue,
                PolicySource::Files(_) => policies::compile(policy, &base)
                    .ok()
                    .flatten()
                    .map(Arc::new),
                PolicySource::Bundle(_) => running
                    .iter()
                    .find(|one| **one.name() == *policy.name)
                    .and_then(|one| one.current()),
            };
            if let Some(version) = version {
                policy.policy.replace(version);
            }
        }
    }

    async fn again(
        &self,
        routes: &Routes<'_>,
        call: &Decision,
        now: Timestamp,
    ) -> Result<Again, Refusal> {
        let unknown = |why: &str| Ok(Again::Unknown(why.to_owned()));
        let (Some(api), Some(route)) = (call.api.as_deref(), call.route.as_deref()) else {
            return unknown("it met no route");
        };
        let Some(route) = routes.get(&(api, route)) else {
            return unknown("its route is gone");
        };
        let input = call
            .judged
            .as_ref()
            .and_then(|judged| judged.input.as_ref());
        let Some(input) = input else {
            return unknown("its input is not recorded (record_inputs of the API)");
        };
        match replay(route, input, &*self.facts, now).await {
            Ok(Replayed::Allow) => Ok(Again::Allow),
            Ok(Replayed::Deny { code, cause }) => Ok(Again::Deny(code.code(), cause)),
            Ok(Replayed::Unknown(why)) => unknown(&why),
            // More than a check follows is refused at a call too.
            Err(why @ Unavailable::Relations) => {
                Ok(Again::Deny("temporarily-unavailable", why.to_string()))
            }
            Err(why) => Err(StoreError::Unavailable(why.to_string()).into()),
        }
    }
}
