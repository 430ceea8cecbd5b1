//! The CloudWatch sink: AWS's SDK does credentials, endpoints, SigV4, TLS and time-outs; the body is ours, put in place
//! of the SDK's own before it signs. Turns the SDK's results into the core's answers, and decides nothing.

use std::sync::Arc;

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::config::retry::RetryConfig;
use aws_sdk_cloudwatchlogs::config::timeout::TimeoutConfig;
use aws_sdk_cloudwatchlogs::config::{BehaviorVersion, Region, StalledStreamProtectionConfig};
use aws_sdk_cloudwatchlogs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudwatchlogs::operation::put_log_events::PutLogEventsOutput;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::answer::{Answer, Rejected};
use crate::limits::{CALL_TIMEOUT, CONNECT_TIMEOUT, ERROR_CHARACTERS_MAX};

/// Where to, beside what the SDK finds in the environment and in profiles.
#[derive(Debug, Clone, Default)]
pub struct Target {
    pub group: String,
    pub region: Option<String>,
    pub endpoint_url: Option<String>,
    /// Certificates (PEM) to trust beside the system's.
    pub ca_bundle: Option<Vec<u8>>,
    pub gzip: bool,
}

/// Cheap to clone: one client, loaded at the first call, since finding region and credentials may itself take calls.
#[derive(Clone)]
pub struct CloudWatch {
    target: Arc<Target>,
    client: Arc<OnceCell<Client>>,
}

impl CloudWatch {
    pub fn new(target: Target) -> CloudWatch {
        CloudWatch { target: Arc::new(target), client: Arc::new(OnceCell::new()) }
    }

    pub async fn put(&self, stream: &str, payload: Bytes) -> Answer {
        self.bounded(async {
            let gzip = self.target.gzip;
            let sent = self
                .client()
                .await
                .put_log_events()
                .log_group_name(&self.target.group)
                .log_stream_name(stream)
                .set_log_events(Some(Vec::new()))
                .customize()
                .mutate_request(move |request| swap_body(request, &payload, gzip))
                .send()
                .await;
            match sent {
                Ok(output) => Answer::Accepted(rejected(&output)),
                Err(error) => refused(&error),
            }
        })
        .await
    }

    pub async fn create_stream(&self, stream: &str) -> Answer {
        self.bounded(async {
            let created = self
                .client()
                .await
                .create_log_stream()
                .log_group_name(&self.target.group)
                .log_stream_name(stream)
                .send()
                .await;
            created.map_or_else(|error| refused(&error), |_| Answer::Accepted(Rejected::default()))
        })
        .await
    }

    pub async fn create_group(&self) -> Answer {
        self.bounded(async {
            let created = self.client().await.create_log_group().log_group_name(&self.target.group).send().await;
            created.map_or_else(|error| refused(&error), |_| Answer::Accepted(Rejected::default()))
        })
        .await
    }

    /// The SDK bounds connecting and calling; finding region and credentials is bounded here.
    async fn bounded(&self, call: impl Future<Output = Answer>) -> Answer {
        timeout(CALL_TIMEOUT, call).await.unwrap_or_else(|_| Answer::Unavailable {
            detail: format!("no answer within {} s", CALL_TIMEOUT.as_secs()),
            lost: true,
        })
    }

    async fn client(&self) -> &Client {
        self.client.get_or_init(|| load(&self.target)).await
    }
}

async fn load(target: &Target) -> Client {
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_timeout(CALL_TIMEOUT).build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        // The core decides what is sent again and when.
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(region) = &target.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(url) = &target.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    if let Some(client) = target.ca_bundle.as_ref().and_then(|pem| trusting(pem)) {
        loader = loader.http_client(client);
    }
    Client::new(&loader.load().await)
}

/// An HTTP client that trusts the bundle beside the system's certificates. The bundle was checked at start.
fn trusting(pem: &[u8]) -> Option<aws_smithy_runtime_api::client::http::SharedHttpClient> {
    let store = TrustStore::default().with_native_roots(true).with_pem_certificate(pem);
    let context = TlsContext::builder().with_trust_store(store).build().ok()?;
    let builder =
        aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).tls_context(context);
    Some(builder.build_https())
}

/// Runs before the request is signed, on every attempt.
fn swap_body(request: &mut HttpRequest, payload: &Bytes, gzip: bool) {
    let headers = request.headers_mut();
    headers.insert("content-length", payload.len().to_string());
    if gzip {
        headers.insert("content-encoding", "gzip");
    }
    *request.body_mut() = SdkBody::from(payload.clone());
}

fn rejected(output: &PutLogEventsOutput) -> Rejected {
    let index = |index: Option<i32>| index.and_then(|index| usize::try_from(index).ok());
    output.rejected_log_events_info().map_or_else(Rejected::default, |info| Rejected {
        too_old_end: index(info.too_old_log_event_end_index()),
        expired_end: index(info.expired_log_event_end_index()),
        too_new_start: index(info.too_new_log_event_start_index()),
    })
}

/// The table of answers: what an error of the service or of the way to it means.
fn refused<E>(error: &SdkError<E, HttpResponse>) -> Answer
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match error {
        SdkError::ServiceError(service) => {
            let code = service.err().code().unwrap_or_default();
            let message = service.err().message().unwrap_or_default();
            verdict(service.raw().status().as_u16(), code, message)
        }
        SdkError::ConstructionFailure(_) => Answer::Invalid(chain(error)),
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => {
            Answer::Unavailable { detail: chain(error), lost: true }
        }
        SdkError::DispatchFailure(failure) => {
            let detail = chain(error);
            if !failure.is_io() && !failure.is_timeout() {
                // Not the network: no credentials, no region, no endpoint.
                return Answer::Denied(detail);
            }
            let lost = !connection_never_was(error);
            Answer::Unavailable { detail, lost }
        }
        _ => Answer::Unavailable { detail: chain(error), lost: true },
    }
}

fn verdict(status: u16, code: &str, message: &str) -> Answer {
    let detail = || one_line(&format!("{code}: {message}"));
    match (status, code) {
        (_, "ResourceAlreadyExistsException" | "DataAlreadyAcceptedException") => Answer::Accepted(Rejected::default()),
        (429, _) => Answer::Throttled,
        (_, code) if code.contains("Throttl") || code.contains("TooManyRequests") => Answer::Throttled,
        (_, "LimitExceededException" | "RequestLimitExceeded") => Answer::Throttled,
        (_, "ResourceNotFoundException") => Answer::NotFound(one_line(message)),
        (500.., _) | (_, "ServiceUnavailableException" | "OperationAbortedException") => {
            Answer::Unavailable { detail: format!("HTTP {status} {}", detail()), lost: false }
        }
        (401 | 403, _) => Answer::Denied(detail()),
        (
            _,
            "AccessDeniedException"
            | "UnrecognizedClientException"
            | "ExpiredTokenException"
            | "ExpiredToken"
            | "InvalidSignatureException"
            | "IncompleteSignature"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "RequestTimeTooSkewed"
            | "RequestExpired",
        ) => Answer::Denied(detail()),
        _ => Answer::Invalid(format!("HTTP {status} {}", detail())),
    }
}

/// Nothing can have been stored by a service that was never connected to.
fn connection_never_was(error: &(dyn std::error::Error + 'static)) -> bool {
    sources(error).any(|source| {
        let text = source.to_string();
        text.contains("tcp connect error") || text.contains("dns error") || text.contains("client error (Connect)")
    })
}

/// The whole story of an error, from the outside to its root, in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = String::new();
    for source in sources(error) {
        let part = source.to_string();
        if !text.contains(&part) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&part);
        }
    }
    one_line(&text)
}

/// A message of ours is one line; the service's, with a whole canonical request in it, are not.
fn one_line(text: &str) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(ERROR_CHARACTERS_MAX) {
        line.truncate(end);
        line.push_str("...");
    }
    line
}

fn sources<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_of_the_table_has_its_meaning() {
        let meaning = |status, code| match verdict(status, code, "m") {
            Answer::Accepted(_) => "accepted",
            Answer::Throttled => "throttled",
            Answer::Unavailable { .. } => "unavailable",
            Answer::NotFound(_) => "not found",
            Answer::Denied(_) => "denied",
            Answer::Invalid(_) => "invalid",
        };
        let table = [
            (400, "ThrottlingException", "throttled"),
            (429, "", "throttled"),
            (503, "ServiceUnavailableException", "unavailable"),
            (500, "InternalFailure", "unavailable"),
            (502, "", "unavailable"),
            (400, "ResourceNotFoundException", "not found"),
            (400, "ResourceAlreadyExistsException", "accepted"),
            (400, "ExpiredTokenException", "denied"),
            (400, "UnrecognizedClientException", "denied"),
            (400, "AccessDeniedException", "denied"),
            (403, "RequestTimeTooSkewed", "denied"),
            (400, "InvalidParameterException", "invalid"),
            (400, "SerializationException", "invalid"),
            (413, "", "invalid"),
        ];
        for (status, code, expected) in table {
            assert_eq!(meaning(status, code), expected, "{status} {code}");
        }
    }
}
