//! **The OpenAPI document**, made from the list of operations and the shapes that they take and
//! answer. It says of every operation what can come back, refusals included.

use http::Method;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Components, ComponentsBuilder, Content, Header, InfoBuilder, OpenApi, OpenApiBuilder, Paths,
    Ref, RefOr, Required, Response, ResponseBuilder, ResponsesBuilder, Schema, SecurityRequirement,
};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use verdict::problem::Code;

use super::operation::{Operation, QueryForm, WebhookAct};
use super::view::{self, Page};

/// The security scheme's name.
const ADMIN_KEY: &str = "admin_key";

/// The document.
pub fn openapi() -> OpenApi {
    let mut paths = Paths::new();
    for operation in Operation::all() {
        paths.add_path_operation(
            operation.path(),
            vec![method(&operation.method())],
            described(operation),
        );
    }
    let info = InfoBuilder::new()
        .title("Doorward admin API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "The control plane: what is declared, the life of credentials, signing keys, the audit trail. \
             Times are RFC 3339 in UTC. Secrets are answered once, to their making.",
        ))
        .build();
    OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(components()))
        .security(Some([SecurityRequirement::new(
            ADMIN_KEY,
            Vec::<String>::new(),
        )]))
        .build()
}

/// utoipa's name of a method of ours.
fn method(method: &Method) -> HttpMethod {
    match method.as_str() {
        "PUT" => HttpMethod::Put,
        "POST" => HttpMethod::Post,
        "DELETE" => HttpMethod::Delete,
        "PATCH" => HttpMethod::Patch,
        _ => HttpMethod::Get,
    }
}

fn described(operation: Operation) -> OperationBuilder {
    let mut described = OperationBuilder::new()
        .operation_id(Some(operation.id()))
        .summary(Some(operation.summary()))
        .tag(tag(operation))
        .responses(responses(operation).build());
    if let Some(action) = operation.action() {
        let roles: Vec<_> = registry::actor::Role::ALL
            .into_iter()
            .filter(|role| action.allows(*role))
            .map(|role| role.name())
            .collect();
        described = described.description(Some(format!("Allowed to: {}.", roles.join(", "))));
    }
    for parameter in parameters(operation) {
        described = described.parameter(parameter);
    }
    if let Some(schema) = operation.body() {
        let optional = matches!(
            schema,
            "Act" | "Rotate" | "RotateSigningSecret" | "CreateSecret" | "SetPassword"
        );
        let body = RequestBodyBuilder::new()
            .content("application/json", json(schema))
            .required(Some(if optional {
                Required::False
            } else {
                Required::True
            }))
            .build();
        described = described.request_body(Some(body));
    }
    described
}

/// The first part of the path names the group.
fn tag(operation: Operation) -> String {
    let path = operation.path();
    path.split('/')
        .nth(2)
        .unwrap_or_default()
        .trim_end_matches(".json")
        .to_owned()
}

fn parameters(operation: Operation) -> Vec<Parameter> {
    let path = operation.path();
    let in_path = [
        ("name", "The name of a resource."),
        ("id", "The id of a credential, a message, or an entry."),
    ];
    let mut parameters: Vec<Parameter> = in_path
        .into_iter()
        .filter(|(name, _)| path.contains(&format!("{{{name}}}")))
        .map(|(name, words)| {
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .description(Some(words))
                .schema(Some(String::schema()))
                .build()
        })
        .collect();
    if operation.is_versioned() {
        let tag = ParameterBuilder::new()
            .name("If-Match")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some("The ETag of the version that this is meant for."))
            .schema(Some(String::schema()))
            .build();
        parameters.push(tag);
    }
    let query = || Some(ParameterIn::Query);
    parameters.extend(match operation.query() {
        QueryForm::None => Vec::new(),
        QueryForm::Credentials => view::CredentialQuery::into_params(query),
        QueryForm::Usage => view::UsageQuery::into_params(query),
        QueryForm::Used => view::UsedQuery::into_params(query),
        QueryForm::Audit => view::AuditQuery::into_params(query),
        QueryForm::Decisions => view::DecisionQuery::into_params(query),
        QueryForm::Flows => view::FlowQuery::into_params(query),
        QueryForm::Relations => view::RelationQuery::into_params(query),
        QueryForm::Webhooks => view::WebhookQuery::into_params(query),
        QueryForm::Export => view::ExportQuery::into_params(query),
        QueryForm::Version => view::VersionQuery::into_params(query),
    });
    parameters
}

fn responses(operation: Operation) -> ResponsesBuilder {
    let mut responses = ResponsesBuilder::new();
    for status in operation.successes() {
        let mut response =
            ResponseBuilder::new().description(status.canonical_reason().unwrap_or("Success"));
        match operation.answer() {
            Some(schema) => response = response.content("application/json", json(schema)),
            None if operation == Operation::OpenApi => {
                response = response.content(
                    "application/json",
                    Content::new(Some(serde_json::Value::schema())),
                );
            }
            None => {}
        }
        if has_etag(operation) {
            response = response.header("ETag", Header::new(String::schema()));
        }
        responses = responses.response(status.as_str(), response.build());
    }
    for (status, codes) in refusals(operation) {
        let words: Vec<_> = codes
            .iter()
            .map(|code| format!("`{}`", code.code()))
            .collect();
        responses = responses.response(status.to_string(), problem(&words.join(", ")));
    }
    responses
}

fn has_etag(operation: Operation) -> bool {
    matches!(
        operation.answer(),
        Some("Resource" | "CredentialView" | "Issued")
    )
}

/// What an operation can be refused with, by status.
fn refusals(operation: Operation) -> Vec<(u16, Vec<Code>)> {
    let mut codes = vec![
        Code::InvalidRequest,
        Code::CredentialMissing,
        Code::CredentialRefused,
        Code::CorsRefused,
        Code::PlaceNotAllowed,
        Code::MisdirectedRequest,
        Code::RateLimited,
        Code::Internal,
        Code::FactUnavailable,
    ];
    if operation
        .action()
        .is_some_and(|action| !action.allows(registry::actor::Role::Auditor))
    {
        codes.push(Code::ActionNotAllowed);
    }
    if operation.body().is_some() {
        codes.push(Code::BodyTooLarge);
    }
    if operation == Operation::Webhook(WebhookAct::Send) {
        codes.push(Code::Overloaded);
    }
    if operation.path().contains('{') || operation.body().is_some() {
        codes.push(Code::NotFound);
    }
    if operation.method() != Method::GET {
        codes.extend([Code::Conflict, Code::ManagedByFile, Code::WrongState]);
    }
    let mut by_status: std::collections::BTreeMap<u16, Vec<Code>> =
        std::collections::BTreeMap::new();
    for code in codes {
        by_status
            .entry(code.status().as_u16())
            .or_default()
            .push(code);
    }
    by_status.into_iter().collect()
}

fn problem(words: &str) -> Response {
    ResponseBuilder::new()
        .description(words)
        .content("application/problem+json", json("Problem"))
        .build()
}

fn json(schema: &str) -> Content {
    Content::new(Some(RefOr::<Schema>::Ref(Ref::from_schema_name(schema))))
}

/// Every shape by its name in the document, with the shapes inside it.
fn components() -> Components {
    let mut found: Vec<(String, RefOr<Schema>)> = Vec::new();
    named::<view::Status>("Status", &mut found);
    named::<view::SettingsView>("SettingsView", &mut found);
    named::<view::Apply>("Apply", &mut found);
    named::<view::Plan>("Plan", &mut found);
    named::<view::Export>("Export", &mut found);
    named::<view::Resource>("Resource", &mut found);
    named::<Page<view::Resource>>("ResourcePage", &mut found);
    named::<view::PutResource>("PutResource", &mut found);
    named::<view::CredentialView>("CredentialView", &mut found);
    named::<Page<view::CredentialView>>("CredentialPage", &mut found);
    named::<view::Issued>("Issued", &mut found);
    named::<view::CreateKey>("CreateKey", &mut found);
    named::<view::ImportKey>("ImportKey", &mut found);
    named::<view::CreateSecret>("CreateSecret", &mut found);
    named::<view::SetPassword>("SetPassword", &mut found);
    named::<view::CreateAdminKey>("CreateAdminKey", &mut found);
    named::<view::CreateRegistrationToken>("CreateRegistrationToken", &mut found);
    named::<view::Amend>("Amend", &mut found);
    named::<view::Rotate>("Rotate", &mut found);
    named::<view::CreateSigningSecret>("CreateSigningSecret", &mut found);
    named::<view::RotateSigningSecret>("RotateSigningSecret", &mut found);
    named::<view::SigningView>("SigningView", &mut found);
    named::<view::MaterialView>("MaterialView", &mut found);
    named::<view::Act>("Act", &mut found);
    named::<view::UsageView>("UsageView", &mut found);
    named::<view::UsageHour>("UsageHour", &mut found);
    named::<view::SecretUsage>("SecretUsage", &mut found);
    named::<view::UsedView>("UsedView", &mut found);
    named::<Page<view::UsedView>>("UsedPage", &mut found);
    named::<view::SigningKeyView>("SigningKeyView", &mut found);
    named::<Page<view::SigningKeyView>>("SigningKeyPage", &mut found);
    named::<view::RotateSigningKey>("RotateSigningKey", &mut found);
    named::<view::RevokeTokens>("RevokeTokens", &mut found);
    named::<view::RevokedTokens>("RevokedTokens", &mut found);
    named::<view::AddTuple>("AddTuple", &mut found);
    named::<view::WriteRelations>("WriteRelations", &mut found);
    named::<view::WroteRelations>("WroteRelations", &mut found);
    named::<view::TupleView>("TupleView", &mut found);
    named::<Page<view::TupleView>>("TuplePage", &mut found);
    named::<view::LeftOverView>("LeftOverView", &mut found);
    named::<Page<view::LeftOverView>>("LeftOverPage", &mut found);
    named::<view::CheckRelation>("CheckRelation", &mut found);
    named::<view::CheckRelations>("CheckRelations", &mut found);
    named::<view::CheckedRelation>("CheckedRelation", &mut found);
    named::<view::CheckedRelations>("CheckedRelations", &mut found);
    named::<view::ListObjects>("ListObjects", &mut found);
    named::<view::ListedObjects>("ListedObjects", &mut found);
    named::<view::ListSubjects>("ListSubjects", &mut found);
    named::<view::ListedSubjects>("ListedSubjects", &mut found);
    named::<view::ExpandRelation>("ExpandRelation", &mut found);
    named::<view::LeafView>("LeafView", &mut found);
    named::<view::BranchView>("BranchView", &mut found);
    named::<view::TreeView>("TreeView", &mut found);
    named::<view::GrantView>("GrantView", &mut found);
    named::<Page<view::GrantView>>("GrantPage", &mut found);
    named::<view::SessionView>("SessionView", &mut found);
    named::<Page<view::SessionView>>("SessionPage", &mut found);
    named::<view::EndFlows>("EndFlows", &mut found);
    named::<view::AuditEventView>("AuditEventView", &mut found);
    named::<Page<view::AuditEventView>>("AuditPage", &mut found);
    named::<view::AuditVerified>("AuditVerified", &mut found);
    named::<view::CheckpointView>("CheckpointView", &mut found);
    named::<Page<view::CheckpointView>>("CheckpointPage", &mut found);
    named::<view::DecisionView>("DecisionView", &mut found);
    named::<view::CompanionView>("CompanionView", &mut found);
    named::<Page<view::DecisionView>>("DecisionPage", &mut found);
    named::<view::Explain>("Explain", &mut found);
    named::<view::CallScheme>("CallScheme", &mut found);
    named::<view::ExplanationView>("ExplanationView", &mut found);
    named::<view::Replay>("Replay", &mut found);
    named::<view::ReplayView>("ReplayView", &mut found);
    named::<view::RollBack>("RollBack", &mut found);
    named::<view::Version>("Version", &mut found);
    named::<Page<view::Version>>("VersionPage", &mut found);
    named::<view::SendWebhook>("SendWebhook", &mut found);
    named::<view::WebhookMessage>("WebhookMessage", &mut found);
    named::<Page<view::WebhookMessage>>("WebhookMessagePage", &mut found);
    named::<view::WebhookStatus>("WebhookStatus", &mut found);
    named::<Page<view::WebhookStatus>>("WebhookStatusPage", &mut found);
    named::<view::WebhooksTouched>("WebhooksTouched", &mut found);
    named::<view::ProblemView>("Problem", &mut found);
    let key = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An administrator's key, `<brand>_ak_live_…`."))
        .build();
    ComponentsBuilder::new()
        .schemas_from_iter(found)
        .security_scheme(ADMIN_KEY, SecurityScheme::Http(key))
        .build()
}

fn named<T: ToSchema>(name: &str, found: &mut Vec<(String, RefOr<Schema>)>) {
    found.push((name.to_owned(), T::schema()));
    T::schemas(found);
}
