//! The CloudWatch sink: AWS's SDK does credentials, endpoints, SigV4, TLS and time-outs; the body is ours, put in place
//! of the SDK's own before it signs. Turns the SDK's results into the core's answers, and decides nothing.

mod answer_size;
mod body;
mod group;
mod inspect;
mod verdict;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_config::SdkConfig;
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::config::retry::RetryConfig;
use aws_sdk_cloudwatchlogs::config::timeout::TimeoutConfig;
use aws_sdk_cloudwatchlogs::config::{BehaviorVersion, Region, StalledStreamProtectionConfig};
use aws_sdk_cloudwatchlogs::operation::RequestId;
use aws_sdk_cloudwatchlogs::operation::put_log_events::PutLogEventsOutput;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::answer::{Answer, Rejected};
use crate::limits::{CALL_TIMEOUT, CONNECT_TIMEOUT, SDK_CLIENTS_MAX};
use crate::spool::entry::{Address, Entry};
use crate::sys::sha256::Digest;
use answer_size::AnswerSize;
use body::OurBody;
pub use group::GroupSettings;
pub use inspect::{Connection, Identity, Inspection, Inspector, Try};
use verdict::refused;

/// How to reach the service, beside what the SDK finds in the environment and in profiles.
#[derive(Debug, Clone, Default)]
pub struct Target {
    pub endpoint_url: Option<String>,
    /// Certificates (PEM) to trust beside the system's.
    pub ca_bundle: Option<Vec<u8>>,
    pub gzip: bool,
    pub group_settings: GroupSettings,
}

/// Cheap to clone. A client per region and endpoint, loaded at its first call, since finding region and credentials may
/// itself take calls. Ours is one of them; adopted runs may have had others.
#[derive(Clone)]
pub struct CloudWatch {
    target: Arc<Target>,
    clients: Arc<Mutex<HashMap<Place, Arc<OnceCell<Client>>>>>,
}

/// Region and endpoint; empty: what the SDK finds.
type Place = (String, String);

impl CloudWatch {
    pub fn new(target: Target) -> CloudWatch {
        CloudWatch { target: Arc::new(target), clients: Arc::default() }
    }

    /// The next calls load their clients anew: environment, profiles and token files may have changed since. Calls that
    /// are on their way keep theirs.
    pub fn renew(&self) {
        self.clients.lock().expect("nobody panics with the clients").clear();
    }

    /// `digest`: the payload's.
    pub async fn put(&self, entry: &Entry, digest: Digest) -> Answer {
        let body = OurBody { payload: entry.payload.clone(), gzip: entry.gzip, digest };
        self.bounded(async {
            let sent = self
                .client(&entry.address)
                .await
                .put_log_events()
                .log_group_name(&entry.address.group)
                .log_stream_name(&entry.address.stream)
                .set_log_events(Some(Vec::new()))
                .customize()
                .interceptor(body)
                .send()
                .await;
            match sent {
                Ok(output) if is_the_services(&output) => Answer::Accepted(rejected(&output)),
                Ok(_) => verdict::no_answer(200),
                Err(error) => refused(&error),
            }
        })
        .await
    }

    pub async fn create_stream(&self, address: &Address) -> Answer {
        self.bounded(async {
            let client = self.client(address).await;
            let call = client.create_log_stream().log_group_name(&address.group).log_stream_name(&address.stream);
            call.send().await.map_or_else(|error| refused(&error), |_| Answer::Accepted(Rejected::default()))
        })
        .await
    }

    pub async fn create_group(&self, address: &Address) -> Answer {
        self.bounded(async {
            let client = self.client(address).await;
            group::create(&client, address, &self.target.group_settings).await
        })
        .await
    }

    /// The SDK bounds connecting and calling; finding region and credentials is bounded here.
    async fn bounded(&self, call: impl Future<Output = Answer>) -> Answer {
        // On the heap from the start: it is large, and would be moved into what bounds it.
        timeout(CALL_TIMEOUT, Box::pin(call)).await.unwrap_or_else(|_| Answer::Unavailable {
            detail: format!("no answer within {} s", CALL_TIMEOUT.as_secs()),
            lost: true,
        })
    }

    async fn client(&self, address: &Address) -> Client {
        let place = (address.region.clone(), address.endpoint.clone());
        let client = {
            let mut clients = self.clients.lock().expect("nobody panics with the clients");
            if clients.len() >= SDK_CLIENTS_MAX && !clients.contains_key(&place) {
                // What is in use stays alive in the calls that use it.
                clients.clear();
            }
            clients.entry(place.clone()).or_default().clone()
        };
        client.get_or_init(|| load(&self.target, place)).await.clone()
    }
}

async fn load(target: &Target, place: Place) -> Client {
    let config = configure(target, place).await;
    Client::from_conf(aws_sdk_cloudwatchlogs::config::Builder::from(&config).interceptor(AnswerSize).build())
}

/// May itself take calls: where a region is found is the SDK's business.
async fn configure(target: &Target, (region, endpoint): Place) -> SdkConfig {
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_timeout(CALL_TIMEOUT).build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        // The core decides what is sent again and when.
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if !region.is_empty() {
        loader = loader.region(Region::new(region));
    }
    if !endpoint.is_empty() {
        loader = loader.endpoint_url(endpoint);
    }
    if let Some(client) = target.ca_bundle.as_ref().and_then(|pem| trusting(pem)) {
        loader = loader.http_client(client);
    }
    loader.load().await
}

/// An HTTP client that trusts the bundle beside the system's certificates. The bundle was checked at start.
fn trusting(pem: &[u8]) -> Option<aws_smithy_runtime_api::client::http::SharedHttpClient> {
    let store = TrustStore::default().with_native_roots(true).with_pem_certificate(pem);
    let context = TlsContext::builder().with_trust_store(store).build().ok()?;
    let builder =
        aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).tls_context(context);
    Some(builder.build_https())
}

/// A success of anything else, such as a proxy, acknowledges nothing; an empty one would be read as a good answer.
/// The service says its request's id and a token; what stands in for it in tests may leave out one of them.
fn is_the_services(output: &PutLogEventsOutput) -> bool {
    output.request_id().is_some() || output.next_sequence_token().is_some()
}

fn rejected(output: &PutLogEventsOutput) -> Rejected {
    let index = |index: Option<i32>| index.and_then(|index| usize::try_from(index).ok());
    output.rejected_log_events_info().map_or_else(Rejected::default, |info| Rejected {
        too_old_end: index(info.too_old_log_event_end_index()),
        expired_end: index(info.expired_log_event_end_index()),
        too_new_start: index(info.too_new_log_event_start_index()),
    })
}
