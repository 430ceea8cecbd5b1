//! What can be learned of the way to the service without shipping a line: the SDK's settings, credentials and endpoint,
//! whether it resolves and connects, and what the service says to a question. Never a secret.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
use aws_sdk_cloudwatchlogs::config::{Builder, ProvideCredentials};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::{DateTime, Format};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::super::answer::{Answer, Rejected};
use super::verdict::{chain, refused};
use super::{AnswerSize, CloudWatch, Target, configure};
use crate::limits::{CONNECT_TIMEOUT, INSPECT_STEP_TIMEOUT};
use crate::spool::entry::{Address, Entry};
use crate::sys::sha256;

/// Whose credentials are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The SDK's name of what gave them: Environment, Profile, WebIdentityToken, ...
    pub provider: String,
    /// The last characters of the key's id, which is no secret.
    pub key_ends: String,
    pub expires: Option<SystemTime>,
}

/// The way to the service's door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Scheme, host and port.
    pub url: String,
    /// Err: the name does not resolve, and why.
    pub addresses: Result<Vec<SocketAddr>, String>,
    /// Ok: one of them accepted a connection.
    pub connected: Result<(), String>,
}

/// All of it.
#[derive(Debug, Clone)]
pub struct Inspection {
    pub region: Option<String>,
    pub credentials: Result<Identity, String>,
    /// Err: there is no endpoint, and why.
    pub connection: Result<Connection, String>,
    /// To a question that changes nothing: the group's streams. None: there was nothing to ask with.
    pub answer: Option<Answer>,
    pub tried: Option<Answer>,
    /// How far the service's clock is ahead of ours, in seconds, by its `Date`.
    pub service_ahead_s: Option<i64>,
}

/// One real call, and what to create for it.
#[derive(Debug, Clone)]
pub struct Try {
    pub entry: Arc<Entry>,
    pub create_group: bool,
}

pub struct Inspector {
    target: Target,
    group: String,
    config: SdkConfig,
    client: Client,
    seen: Seen,
}

impl Inspector {
    /// Err: settings were not found in time.
    pub async fn load(target: &Target, address: &Address) -> Result<Inspector, String> {
        let place = (address.region.clone(), address.endpoint.clone());
        let seen = Seen::default();
        let config = within("the SDK's settings", configure(target, place)).await?;
        let client = Builder::from(&config).interceptor(AnswerSize).interceptor(seen.clone()).build();
        let client = Client::from_conf(client);
        Ok(Inspector { target: target.clone(), group: address.group.clone(), config, client, seen })
    }

    pub async fn look(&self, attempt: Option<Try>) -> Inspection {
        let region = self.config.region().map(|region| region.as_ref().to_owned());
        let credentials = self.credentials().await;
        let has_means = region.is_some() && credentials.is_ok();
        let answer = if has_means { Some(self.ask().await) } else { None };
        let service_ahead_s = self.service_ahead_s();
        let connection = match self.endpoint().await {
            Ok(url) => Ok(connect(url).await),
            Err(why) => Err(why),
        };
        let tried = match attempt {
            Some(attempt) if has_means => Some(self.put(&attempt).await),
            _ => None,
        };
        Inspection { region, credentials, connection, answer, tried, service_ahead_s }
    }

    async fn credentials(&self) -> Result<Identity, String> {
        let Some(provider) = self.config.credentials_provider() else {
            return Err("the SDK has no provider of credentials".into());
        };
        let provided = within("credentials", provider.provide_credentials()).await?;
        let credentials = provided.map_err(|error| chain(&error))?;
        let id = credentials.access_key_id();
        let key_ends = id.chars().skip(id.chars().count().saturating_sub(4)).collect();
        Ok(Identity { provider: provider_name(&format!("{credentials:?}")), key_ends, expires: credentials.expiry() })
    }

    /// By the call that was made, or else by the SDK's rules.
    async fn endpoint(&self) -> Result<String, String> {
        if let Some(url) = self.seen.url.lock().expect("nobody panics with it").clone() {
            return Ok(url);
        }
        let params = Params::builder()
            .set_region(self.config.region().map(|region| region.as_ref().to_owned()))
            .set_endpoint(self.config.endpoint_url().map(str::to_owned))
            .use_fips(self.config.use_fips().unwrap_or_default())
            .use_dual_stack(self.config.use_dual_stack().unwrap_or_default())
            .build()
            .map_err(|error| error.to_string())?;
        let endpoint = DefaultResolver::new().resolve_endpoint(&params).await.map_err(|error| error.to_string())?;
        Ok(endpoint.url().to_owned())
    }

    async fn ask(&self) -> Answer {
        let question = self.client.describe_log_streams().log_group_name(&self.group).limit(1).send();
        match within("an answer", question).await {
            Ok(Ok(_)) => Answer::Accepted(Rejected::default()),
            Ok(Err(error)) => refused(&error),
            Err(why) => Answer::Unavailable { detail: why, lost: false },
        }
    }

    /// As a run does it: the call; what is missing is created; the call again. Each is bounded.
    async fn put(&self, attempt: &Try) -> Answer {
        let cloudwatch = CloudWatch::new(self.target.clone());
        let address = &attempt.entry.address;
        let digest = sha256::one(&attempt.entry.payload);
        let first = cloudwatch.put(&attempt.entry, digest).await;
        if !matches!(first, Answer::NotFound(_)) {
            return first;
        }
        let mut made = cloudwatch.create_stream(address).await;
        if matches!(made, Answer::NotFound(_)) && attempt.create_group {
            made = cloudwatch.create_group(address).await;
            if matches!(made, Answer::Accepted(_)) {
                made = cloudwatch.create_stream(address).await;
            }
        }
        if matches!(made, Answer::Accepted(_)) { cloudwatch.put(&attempt.entry, digest).await } else { made }
    }

    fn service_ahead_s(&self) -> Option<i64> {
        let (date, ours) = self.seen.date.lock().expect("nobody panics with it").clone()?;
        let theirs = DateTime::from_str(&date, Format::HttpDate).ok()?.secs();
        Some(theirs - ours.as_secs() as i64)
    }
}

impl Seen {
    fn note_date(&self, date: &str) {
        *self.date.lock().expect("nobody panics with it") = Some((date.to_owned(), crate::clock::wall()));
    }
}

/// The SDK says it in its debug output alone, which leaves secrets out.
fn provider_name(debug: &str) -> String {
    let name = debug.split_once("provider_name: \"").and_then(|(_, rest)| rest.split_once('"'));
    name.map_or("a provider without a name", |(name, _)| name).to_owned()
}

/// Of an answer: its `Date` and when it came. Of a request: where it goes.
#[derive(Debug, Clone, Default)]
struct Seen {
    url: Arc<Mutex<Option<String>>>,
    date: Arc<Mutex<Option<(String, Duration)>>>,
}

#[dyn_dispatch_hint]
impl Intercept for Seen {
    fn name(&self) -> &'static str {
        "Seen"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        *self.url.lock().expect("nobody panics with it") = Some(context.request().uri().to_owned());
        Ok(())
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(date) = context.response().headers().get("date") {
            self.note_date(date);
        }
        Ok(())
    }
}

async fn within<T>(what: &str, step: impl Future<Output = T>) -> Result<T, String> {
    let limit = INSPECT_STEP_TIMEOUT;
    timeout(limit, step).await.map_err(|_| format!("{what}: none within {} s", limit.as_secs()))
}

async fn connect(url: String) -> Connection {
    let (url, host, port) = match place_of(&url) {
        Some(place) => place,
        None => {
            let why = "it is no URL with a host".to_owned();
            return Connection { url, addresses: Err(why.clone()), connected: Err(why) };
        }
    };
    let found = within("addresses", lookup_host((host.as_str(), port))).await;
    let addresses: Vec<SocketAddr> = match found.and_then(|found| found.map_err(|error| error.to_string())) {
        Ok(found) => found.collect(),
        Err(why) => {
            return Connection { url, addresses: Err(why), connected: Err("its name does not resolve".into()) };
        }
    };
    let first_to_accept = async {
        let mut last = "it has no address".to_owned();
        for address in &addresses {
            match TcpStream::connect(address).await {
                Ok(_) => return Ok(()),
                Err(error) => last = format!("{address}: {error}"),
            }
        }
        Err(last)
    };
    let late = |_| Err(format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()));
    let connected = timeout(CONNECT_TIMEOUT, first_to_accept).await.unwrap_or_else(late);
    Connection { url, addresses: Ok(addresses), connected }
}

/// What may be said of a URL (not a password in it), its host, its port.
fn place_of(url: &str) -> Option<(String, String, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
        _ => (authority, if scheme == "http" { 80 } else { 443 }),
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    (!bare.is_empty()).then(|| (format!("{scheme}://{authority}"), bare.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_a_host_and_a_port_and_no_password() {
        let place = |url| place_of(url).map(|(url, host, port)| format!("{url} {host} {port}"));
        for (url, expected) in [
            (
                "https://logs.eu-west-1.amazonaws.com/",
                "https://logs.eu-west-1.amazonaws.com logs.eu-west-1.amazonaws.com 443",
            ),
            ("http://127.0.0.1:4580", "http://127.0.0.1:4580 127.0.0.1 4580"),
            ("http://user:secret@localhost/x?y", "http://localhost localhost 80"),
            ("http://[::1]:8080/", "http://[::1]:8080 ::1 8080"),
            ("https://[::1]", "https://[::1] ::1 443"),
        ] {
            assert_eq!(place(url).as_deref(), Some(expected));
        }
        assert_eq!([place("localhost:80"), place("http://"), place("http://h:x")], [None, None, None]);
    }

    #[test]
    fn the_sdk_names_the_provider_of_credentials_and_keeps_the_secret() {
        use aws_sdk_cloudwatchlogs::config::Credentials;
        let credentials = Credentials::builder().access_key_id("AKIDEXAMPLE").secret_access_key("very-secret");
        let debug = format!("{:?}", credentials.session_token("token-secret").provider_name("Elsewhere").build());
        assert_eq!(provider_name(&debug), "Elsewhere");
        assert!(!debug.contains("very-secret") && !debug.contains("token-secret"), "{debug}");
        assert_eq!(provider_name(""), "a provider without a name");
    }
}
