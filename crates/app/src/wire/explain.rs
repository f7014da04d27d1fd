//! **Explaining calls**: the admin API's question put to the data plane of this node.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use gateway::{DoorView, Explanation, Gateway};
use proof::time::Timestamp;
use registry::units::Moment;
use verdict::call::Scheme;
use verdict::facts::Facts as _;
use verdict::limit::{LimitKey, Rate, stable_hash};
use verdict::problem::{Code, Problem};
use web::admin::view::{AnswerView, CallScheme, CallView, ExplanationView, FieldView, StepView};
use web::admin::{Asked, Explainer, Explaining};

use super::{Facts, Shared};

/// Explanations of one administrator: whoever holds a stolen key must not try secrets with them
/// faster than at the door.
const PER_ADMINISTRATOR: Rate = Rate {
    limit: 60,
    period: Duration::from_secs(60),
};

/// Where calls come in, once the ports are open.
pub(crate) struct Door {
    gateway: Gateway<Facts>,
    listeners: Vec<DoorView>,
}

impl Door {
    pub(crate) fn new(
        gateway: Gateway<Facts>,
        listeners: impl IntoIterator<Item = (SocketAddr, bool)>,
    ) -> Self {
        let view = |(address, tls)| DoorView { address, tls };
        Self {
            gateway,
            listeners: listeners.into_iter().map(view).collect(),
        }
    }
    /// The plane that serves what is declared.
    pub(super) fn gateway(&self) -> &Gateway<Facts> {
        &self.gateway
    }
}

impl Explainer for Shared {
    fn explain<'a>(&'a self, asked: Asked, by: &'a str, now: Timestamp) -> Explaining<'a> {
        Box::pin(async move {
            let [high, low] = stable_hash(&["explain", by]);
            let budget = LimitKey::Principal(high, low);
            let taken = self.facts.take(&budget, &PER_ADMINISTRATOR, 1, now).await?;
            if !taken.allowed {
                let mut problem = Problem::new(Code::RateLimited, "too many explanations");
                problem.retry_after = Some(taken.retry_after);
                return Err(problem);
            }
            let Some(door) = self.door.get() else {
                return Err(with_detail(
                    Code::WrongState,
                    "This node serves no APIs.".to_owned(),
                ));
            };
            let asked = gateway::Asked {
                text: asked.text,
                scheme: asked.scheme.map(|scheme| match scheme {
                    CallScheme::Http => Scheme::Http,
                    CallScheme::Https => Scheme::Https,
                }),
                from: asked.from.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
                certificate: asked.certificate,
                at: asked.at,
                doors: door.listeners.clone(),
            };
            match door.gateway.explain(asked).await {
                Ok(explained) => Ok(view(explained)),
                Err(unreadable) => {
                    let detail = format!("It can not be explained; {unreadable}.");
                    Err(with_detail(Code::InvalidRequest, detail))
                }
            }
        })
    }
}

pub(super) fn with_detail(code: Code, detail: String) -> Problem {
    let mut problem = Problem::new(code, detail.as_str());
    problem.detail = Some(detail.into());
    problem
}

fn view(explained: Explanation) -> ExplanationView {
    let call = explained.call;
    ExplanationView {
        decision: explained.decision.to_owned(),
        call: CallView {
            method: call.method,
            path: call.path,
            authority: call.authority,
            scheme: call.scheme.to_owned(),
            version: call.version.to_owned(),
            client: call.client.to_string(),
            at: Moment(call.at),
        },
        api: explained.api,
        route: explained.route,
        credential: explained.credential,
        principal: explained.principal,
        steps: explained
            .steps
            .into_iter()
            .map(|step| StepView {
                stage: step.stage.to_owned(),
                check: step.check.map(str::to_owned),
                mark: step.mark.name().to_owned(),
                text: step.text,
                source: step.source.map(str::to_owned),
                details: step.details,
            })
            .collect(),
        answer: explained.answer.map(|answer| AnswerView {
            status: answer.status,
            code: answer.code.map(str::to_owned),
            title: answer.title.map(str::to_owned),
            headers: answer
                .headers
                .into_iter()
                .map(|(name, value)| FieldView { name, value })
                .collect(),
        }),
    }
}
