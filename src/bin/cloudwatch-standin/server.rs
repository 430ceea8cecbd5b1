//! HTTP: receives a call, has it checked and performed, and answers. Knows nothing of what operations mean.

use std::cell::RefCell;
use std::io::Read;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, StatusCode};
use sha2::{Digest, Sha256};

use crate::fail::Failure;
use crate::faults::{Effects, End, Faults, Seen, parse_script};
use crate::limits::{BODY_BYTES_MAX, SCRIPT_BYTES_MAX};
use crate::operations::{self, Call, World};
use crate::reply::{Answer, Ended, plain, torn};
use crate::sigv4::{self, Claim};
use crate::time::now_ms;

const AWS_JSON: &str = "application/x-amz-json-1.1";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const UNKNOWN: &str = "Unknown";

/// Body buffers to use again; more, or larger ones, go back to the allocator.
const SPARE_BUFFERS_MAX: usize = 16;
const SPARE_BUFFER_BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verify {
    /// The signature of the known access key; of others the form.
    Known,
    /// The form, and a body hash where a header gives one.
    Form,
    /// The form; nothing is hashed.
    FormWithoutHash,
}

pub struct Policy {
    pub verify: Verify,
    pub access_key: String,
    pub secret_key: String,
    pub latency: Duration,
    pub tls: bool,
}

pub struct Server {
    policy: Policy,
    world: RefCell<World>,
    faults: RefCell<Faults>,
    spare_buffers: RefCell<Vec<Vec<u8>>>,
}

/// A call whose head has arrived.
struct Received {
    parts: Parts,
    operation: Option<&'static str>,
    body: Incoming,
}

/// A call that stands in `calls_in_flight` as long as this lives, whether it is answered or its client goes away.
struct InFlight<'a>(&'a Server);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.world.borrow_mut().stats.calls_in_flight -= 1;
    }
}

impl Server {
    pub fn new(policy: Policy, world: World, faults: Faults) -> Rc<Server> {
        let (world, faults) = (RefCell::new(world), RefCell::new(faults));
        Rc::new(Server { policy, world, faults, spare_buffers: RefCell::default() })
    }

    /// Whether the handshake of a TLS connection that was just accepted is never answered.
    pub fn hangs_handshake(&self) -> bool {
        self.faults.borrow_mut().hangs_handshake(Instant::now())
    }

    pub fn connection_opened(&self) {
        let stats = &mut self.world.borrow_mut().stats;
        stats.connections += 1;
        stats.connections_open += 1;
    }

    pub fn connection_closed(&self) {
        self.world.borrow_mut().stats.connections_open -= 1;
    }

    pub async fn respond(self: Rc<Self>, request: Request<Incoming>) -> Result<Answer, Ended> {
        let path = request.uri().path();
        Ok(match (request.method(), path) {
            (&Method::GET, "/healthz") => plain(StatusCode::OK, "text/plain", "ok\n".into()),
            (&Method::GET, "/stats") => {
                let world = self.world.borrow();
                let stats = world.stats.to_json(&world.store, self.faults.borrow().hits());
                plain(StatusCode::OK, "application/json", stats)
            }
            (&Method::GET, "/fault") => self.tell_faults(),
            (&Method::POST, "/fault") => self.set_faults(request.into_body()).await,
            (&Method::POST, "/") => return self.call(request).await,
            (method, path) => {
                let served = "POST / with an X-Amz-Target, GET /stats, GET /healthz, GET and POST /fault";
                let message = format!("{method} {path} is not served here: {served}\n");
                plain(StatusCode::NOT_FOUND, "text/plain", message.into())
            }
        })
    }

    fn tell_faults(&self) -> Answer {
        let faults = self.faults.borrow();
        let told = serde_json::to_vec_pretty(&faults.told(Instant::now())).expect("counts and texts serialize");
        plain(StatusCode::OK, "application/json", told)
    }

    async fn set_faults(&self, body: Incoming) -> Answer {
        let script = match Limited::new(body, SCRIPT_BYTES_MAX).collect().await {
            Ok(body) => String::from_utf8(body.to_bytes().into()).map_err(|error| error.to_string()),
            Err(error) => Err(format!("{error}; a fault script has at most {SCRIPT_BYTES_MAX} bytes")),
        };
        let faults = script.and_then(|script| {
            let faults = parse_script(&script).map_err(|wrong| wrong.to_string())?;
            Faults::servable(&faults, self.policy.tls).map(|()| faults)
        });
        match faults {
            Ok(faults) => {
                self.faults.borrow_mut().set(faults, Instant::now());
                self.tell_faults()
            }
            Err(message) => plain(StatusCode::BAD_REQUEST, "text/plain", format!("{message}\n").into()),
        }
    }

    async fn call(&self, request: Request<Incoming>) -> Result<Answer, Ended> {
        self.world.borrow_mut().stats.call_begins();
        let _in_flight = InFlight(self);
        let (parts, mut body) = request.into_parts();
        let target = parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        let operation = target.and_then(operations::named);
        let mut effects = self.faults.borrow_mut().at_arrival(operation, Instant::now());
        if effects.end.is_some() {
            // A reset with a part of the body read.
            let _ = body.frame().await;
            self.count(operation);
            return Err(Ended::Reset);
        }
        let spare = self.spare_buffers.borrow_mut().pop();
        let mut buffer = spare.unwrap_or_default();
        let outcome = self.outcome(Received { parts, operation, body }, &mut buffer, &mut effects).await;
        self.keep_spare(buffer);
        let delay = self.policy.latency.saturating_add(effects.delay);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        self.count(operation);
        let (outcome, end) = match effects.end {
            Some(End::Refuse(failure)) => (Err(failure), None),
            end => (outcome, end),
        };
        self.answer(outcome, end).await
    }

    fn count(&self, operation: Option<&'static str>) {
        *self.world.borrow_mut().stats.calls.entry(operation.unwrap_or(UNKNOWN)).or_default() += 1;
    }

    /// Every answer to an AWS call passes here. `end` is a fault's and comes in place of the right one.
    async fn answer(&self, outcome: Result<Vec<u8>, Failure>, end: Option<End>) -> Result<Answer, Ended> {
        let (status, mut body, kind) = match outcome {
            Ok(body) => (200, body, None),
            Err(failure) => {
                *self.world.borrow_mut().stats.errors.entry(failure.kind).or_default() += 1;
                let body = serde_json::json!({ "__type": failure.kind, "message": failure.message });
                (failure.status, body.to_string().into_bytes(), Some(failure.kind))
            }
        };
        match end {
            Some(End::Close) => return Err(Ended::Closed),
            Some(End::Hang) => std::future::pending().await,
            Some(End::Proxy { status, html }) => return Ok(proxy(status, html)),
            Some(End::NoBody) => body.clear(),
            Some(End::BadJson) => cut_json(&mut body),
            Some(End::Reset | End::Refuse(_)) | None => {}
        }
        let status = StatusCode::from_u16(status).expect("failures have a status");
        let mut answer = plain(status, AWS_JSON, body);
        let headers = answer.headers_mut();
        headers.insert(REQUEST_ID, request_id());
        if let Some(kind) = kind {
            headers.insert(ERROR_TYPE, HeaderValue::from_static(kind));
        }
        Ok(if end == Some(End::Reset) { torn(answer) } else { answer })
    }

    /// Receives the whole body before anything is refused, so that the connection stays usable.
    async fn outcome(
        &self,
        received: Received,
        buffer: &mut Vec<u8>,
        effects: &mut Effects,
    ) -> Result<Vec<u8>, Failure> {
        let Received { parts, operation, body } = received;
        let now_ms = now_ms();
        let headers = &parts.headers;
        let claim = sigv4::claim(headers, now_ms.div_euclid(1000));
        let hashed = claim.as_ref().is_ok_and(|claim| self.needs_hash(claim, headers));
        let hash = receive(body, buffer, hashed, effects.bytes_per_s).await?;
        self.world.borrow_mut().stats.body_bytes += buffer.len() as u64;
        let claim = claim?;
        if let Some(hash) = hash {
            self.check_signature(&claim, &parts, &hash)?;
        }
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_aws_json = content_type.is_some_and(|value| value.split(';').next() == Some(AWS_JSON));
        // No protocol of the service takes another content type, so to AWS such a request names no operation.
        let (Some(operation), true) = (operation, is_aws_json) else {
            return Err(Failure::new(400, "UnknownOperationException", unknown_operation(headers)));
        };
        let plain = self.decompress(headers, buffer)?;
        let body = plain.as_deref().unwrap_or(buffer);
        let seen = Seen { operation: Some(operation), wire_bytes: buffer.len(), body };
        self.faults.borrow_mut().at_call(&seen, Instant::now(), effects);
        if effects.end.is_some() {
            // The fault answers in its place; nothing is done.
            return Ok(Vec::new());
        }
        let call = Call { now_ms, region: claim.region, reject: effects.reject };
        let done = operations::perform(&mut self.world.borrow_mut(), operation, body, &call)?;
        self.faults.borrow_mut().at_answer(&seen, Instant::now(), effects);
        Ok(done)
    }

    fn needs_hash(&self, claim: &Claim, headers: &HeaderMap) -> bool {
        match self.policy.verify {
            Verify::FormWithoutHash => false,
            Verify::Form => stated_hash(headers).is_some(),
            Verify::Known => claim.access_key == self.policy.access_key || stated_hash(headers).is_some(),
        }
    }

    fn check_signature(&self, claim: &Claim, parts: &Parts, hash: &str) -> Result<(), Failure> {
        if let Some(stated) = stated_hash(&parts.headers)
            && stated != hash
        {
            let message = "The x-amz-content-sha256 header does not match the SHA-256 of the body that arrived.";
            return Err(Failure::bad_signature(message));
        }
        if self.policy.verify != Verify::Known || claim.access_key != self.policy.access_key {
            return Ok(());
        }
        let signed = sigv4::Signed {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query().unwrap_or_default(),
            headers: &parts.headers,
            body_hash: hash,
        };
        sigv4::verify(claim, &self.policy.secret_key, &signed)
    }

    /// `None`: the body is as it arrived.
    fn decompress(&self, headers: &HeaderMap, body: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        match headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
            None | Some(b"identity") => return Ok(None),
            Some(b"gzip") => {}
            Some(other) => {
                let other = String::from_utf8_lossy(other);
                let message = format!("Content-Encoding {other} is not supported: gzip is");
                return Err(Failure::serialization(message));
            }
        }
        self.world.borrow_mut().stats.gzip_calls += 1;
        let mut plain = Vec::with_capacity(body.len() * 4);
        let decoder = flate2::bufread::MultiGzDecoder::new(body);
        let read = decoder.take(BODY_BYTES_MAX as u64 + 1).read_to_end(&mut plain);
        read.map_err(|error| Failure::serialization(format!("The body is not gzip: {error}")))?;
        if plain.len() > BODY_BYTES_MAX {
            return Err(too_large());
        }
        Ok(Some(plain))
    }

    fn keep_spare(&self, buffer: Vec<u8>) {
        let mut spare = self.spare_buffers.borrow_mut();
        if spare.len() < SPARE_BUFFERS_MAX && buffer.capacity() <= SPARE_BUFFER_BYTES_MAX {
            spare.push(buffer);
        }
    }
}

/// Reads the body into `buffer`. Returns its SHA-256 in hex when `hashed`: taken frame by frame, out of the cache.
async fn receive(
    mut body: Incoming,
    buffer: &mut Vec<u8>,
    hashed: bool,
    bytes_per_s: Option<u64>,
) -> Result<Option<String>, Failure> {
    buffer.clear();
    let stated = body.size_hint().lower();
    if stated > BODY_BYTES_MAX as u64 {
        return Err(too_large());
    }
    buffer.reserve(stated as usize);
    let mut hash = Sha256::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Failure::new(400, "RequestAbortedException", format!("The body did not arrive: {error}"))
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if buffer.len() + data.len() > BODY_BYTES_MAX {
            return Err(too_large());
        }
        if hashed {
            hash.update(&data);
        }
        buffer.extend_from_slice(&data);
        if let Some(bytes_per_s) = bytes_per_s {
            tokio::time::sleep(Duration::from_secs_f64(data.len() as f64 / bytes_per_s as f64)).await;
        }
    }
    Ok(hashed.then(|| sigv4::hex(&hash.finalize())))
}

/// Of `x-amz-content-sha256`, unless it is one of the words that stand for no hash.
fn stated_hash(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get("x-amz-content-sha256")?.to_str().ok()?;
    let is_hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then_some(text)
}

fn too_large() -> Failure {
    let message = format!("The body is larger than {BODY_BYTES_MAX} bytes");
    Failure::new(413, "RequestEntityTooLargeException", message)
}

fn unknown_operation(headers: &HeaderMap) -> String {
    let header = |name: &str| {
        let value = headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        value.unwrap_or_default().into_owned()
    };
    let (target, content_type) = (header("x-amz-target"), header("content-type"));
    format!("No such operation here: X-Amz-Target '{target}', Content-Type '{content_type}'")
}

/// In the form of a UUID.
fn request_id() -> HeaderValue {
    let digits = format!("{:032x}", fastrand::u128(..));
    let (a, b, c, d, e) = (&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]);
    HeaderValue::from_str(&format!("{a}-{b}-{c}-{d}-{e}")).expect("hex digits are a header value")
}

/// As a proxy answers in place of the service.
fn proxy(status: u16, html: bool) -> Answer {
    let page = "<html><head><title>Proxy</title></head><body><h1>Not for you</h1></body></html>\n";
    let status = StatusCode::from_u16(status).expect("faults have a status");
    plain(status, "text/html", if html { page.into() } else { Vec::new() })
}

/// Half of it: no JSON, whatever it was.
fn cut_json(body: &mut Vec<u8>) {
    if body.is_empty() {
        body.extend_from_slice(b"{}");
    }
    body.truncate(body.len() / 2);
}
