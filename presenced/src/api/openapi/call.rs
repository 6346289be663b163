//! The description of one call: who may make it, what it takes, and everything that it may answer.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use presence::wire::error_code::Code;
use utoipa::ToSchema;
use utoipa::openapi::path::{Operation, OperationBuilder, Parameter};
use utoipa::openapi::request_body::RequestBody;
use utoipa::openapi::{HttpMethod, RefOr, Response, Schema};

use super::security::CallerKind;
use super::{parameters, responses, security};
use crate::api::routes;

pub(super) const USERS: &str = "users";
pub(super) const OPERATORS: &str = "operators";
pub(super) const PROBES: &str = "probes";
pub(super) const WEBSOCKET: &str = "websocket";

/// What any request may be answered before it is known which call it is: the limits of the client's address and of connections,
/// `Host`, and a bug of the daemon.
const OF_ALL: [Code; 4] = [Code::InvalidHeader, Code::RateLimited, Code::Internal, Code::AtCapacity];

/// Schemas with their names.
pub(super) type Schemas = Vec<(String, RefOr<Schema>)>;

/// Adds the schema of a type, and those that it refers to.
pub(super) fn schemas_of<T: ToSchema>(schemas: &mut Schemas) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}

pub(super) struct Call {
    pub(super) method: HttpMethod,
    pub(super) path: &'static str,
    operation: OperationBuilder,
    /// The codes of its errors by their HTTP status.
    errors: BTreeMap<u16, Vec<Code>>,
    /// The response of a success, with its status.
    success: Vec<(StatusCode, Response)>,
    /// Whether pages of other origins may make it.
    is_for_pages: bool,
    /// Adds the schemas of its response to the components.
    pub(super) schemas: Option<fn(&mut Schemas)>,
}

impl Call {
    /// `id` names the call in generated clients.
    pub(super) fn new(method: HttpMethod, path: &'static str, id: &str, caller: CallerKind) -> Self {
        let is_for_pages = routes::methods_of_pages(path).is_some();
        let call = Self {
            method,
            path,
            operation: OperationBuilder::new()
                .operation_id(Some(id))
                .securities(Some(security::requirements(caller)))
                .parameters(Some(security::parameters(caller)))
                .parameter(parameters::request_id()),
            errors: BTreeMap::new(),
            success: Vec::new(),
            is_for_pages,
            schemas: None,
        };
        call.errors(&OF_ALL).errors(security::errors(caller))
    }

    /// The group that it belongs to, what it does in a few words, and what else there is to say.
    pub(super) fn describe(mut self, tag: &str, summary: &str, description: &str) -> Self {
        let description = Some(description).filter(|text| !text.is_empty());
        self.operation = self.operation.tag(tag).summary(Some(summary)).description(description);
        self
    }

    /// A parameter, and the codes of invalid values.
    pub(super) fn parameter(mut self, parameter: Parameter, invalid: &[Code]) -> Self {
        self.operation = self.operation.parameter(parameter);
        self.errors(invalid)
    }

    pub(super) fn body(mut self, body: RequestBody) -> Self {
        self.operation = self.operation.request_body(Some(body));
        self.errors(&[
            Code::InvalidJson,
            Code::InvalidValue,
            Code::RequestTimeout,
            Code::TooLarge,
            Code::UnsupportedMediaType,
        ])
    }

    /// Answers 200 with this type as JSON.
    pub(super) fn answers<T: ToSchema>(mut self, description: &str) -> Self {
        self.schemas = Some(schemas_of::<T>);
        let schema = utoipa::openapi::Ref::from_schema_name(T::name());
        let response = responses::json(description, schema, self.is_for_pages);
        self.response(StatusCode::OK, response)
    }

    pub(super) fn response(mut self, status: StatusCode, response: Response) -> Self {
        self.success.push((status, response));
        self
    }

    pub(super) fn errors(mut self, codes: &[Code]) -> Self {
        for code in codes {
            self = self.error(*code, code.http_status());
        }
        self
    }

    /// An error whose status is not the usual one of its code.
    pub(super) fn error(mut self, code: Code, status: u16) -> Self {
        let codes = self.errors.entry(status).or_default();
        if !codes.contains(&code) {
            codes.push(code);
        }
        self
    }

    pub(super) fn into_operation(self) -> Operation {
        let Self { is_for_pages, .. } = self;
        let with_errors = self.errors.iter().fold(self.operation, |operation, (status, codes)| {
            operation.response(status.to_string(), responses::error_of(*status, codes, is_for_pages))
        });
        let with_success = self
            .success
            .into_iter()
            .fold(with_errors, |operation, (status, response)| {
                operation.response(status.as_str(), response)
            });
        with_success.build()
    }
}
