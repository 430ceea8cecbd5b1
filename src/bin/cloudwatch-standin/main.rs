//! `cloudwatch-standin`: a stand-in for CloudWatch Logs, for tests, demos and measurements on loopback.
//!
//! It shares no code with logpump: its limits and rules are its own copies, so that a mistake of the shipper's
//! cannot hide in its server. One thread, no locks; what it costs is mostly SHA-256 of the bodies it verifies.
//!
//! | file | holds |
//! | --- | --- |
//! | `limits`, `fail`, `time`, `json`, `names` | numbers, errors, dates, strict JSON, naming rules: pure |
//! | `faults/` | faults on purpose: scripts, and what they do to which call: pure |
//! | `put/` | PutLogEvents read and checked: pure |
//! | `sigv4` | signatures |
//! | `store`, `stats` | groups, streams, events; counts |
//! | `operations/` | what each operation does |
//! | `server`, `reply`, `tls`, `options` | HTTP, answers and broken ones, certificates, command line |

mod fail;
mod faults;
mod json;
mod limits;
mod names;
mod operations;
mod options;
mod put;
mod reply;
mod server;
mod sigv4;
mod stats;
mod store;
mod time;
mod tls;

use std::io::Write;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Parser;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;

use crate::faults::Faults;
use crate::operations::World;
use crate::options::Options;
use crate::reply::Ended;
use crate::server::{Policy, Server, Verify};
use crate::store::Store;

/// Source: sysexits.h.
const EXIT_USAGE: u8 = 64;
const EXIT_UNAVAILABLE: u8 = 69;

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait before the next accept when one failed, as with no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { EXIT_USAGE } else { 0 });
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(EXIT_UNAVAILABLE, &format!("cannot start: {error}")),
    };
    let served = tokio::task::LocalSet::new().block_on(&runtime, run(options));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, message)) => fail(code, &message),
    }
}

fn fail(code: u8, message: &str) -> ExitCode {
    eprintln!("cloudwatch-standin: {message}");
    ExitCode::from(code)
}

async fn run(options: Options) -> Result<(), (u8, String)> {
    let world = new_world(&options).map_err(|message| (EXIT_USAGE, message))?;
    let faults = new_faults(&options).map_err(|message| (EXIT_USAGE, message))?;
    let unavailable = |message: String| (EXIT_UNAVAILABLE, message);
    let acceptor = match options.tls {
        true => Some(tls::acceptor(options.cert_out.as_deref()).map_err(|error| unavailable(error.to_string()))?),
        false => None,
    };
    let listener = TcpListener::bind(options.listen).await.map_err(|error| {
        let address = options.listen;
        unavailable(format!(
            "cannot listen on {address}: {error}; if the port is taken, choose another, or --listen 127.0.0.1:0 for a free one"
        ))
    })?;
    let handler = |kind| signal(kind).map_err(|error| unavailable(format!("cannot handle signals: {error}")));
    let (mut terminate, mut interrupt) = (handler(SignalKind::terminate())?, handler(SignalKind::interrupt())?);
    announce(&listener, options.tls).map_err(|error| unavailable(error.to_string()))?;
    let server = Server::new(policy(options), world, faults);
    tokio::select! {
        () = accept(listener, acceptor, server) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

fn new_world(options: &Options) -> Result<World, String> {
    if options.cert_out.is_some() && !options.tls {
        return Err("--cert-out writes the certificate of --tls, which is not given".to_owned());
    }
    let keep_max = (!options.count_only).then_some(options.keep_max);
    let mut world = World::new(Store::new(keep_max));
    for name in &options.groups {
        let created = world.create_group(name, time::now_ms());
        created.map_err(|failure| format!("--group {name}: {}", failure.message))?;
    }
    Ok(world)
}

fn new_faults(options: &Options) -> Result<Faults, String> {
    let mut faults = Vec::new();
    for script in &options.faults {
        faults.extend(faults::parse_script(script).map_err(|wrong| format!("--fault: {wrong}"))?);
    }
    if let Some(path) = &options.fault_file {
        let named = |error: String| format!("--fault-file {}: {error}", path.display());
        let script = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
        faults.extend(faults::parse_script(&script).map_err(|wrong| named(wrong.to_string()))?);
    }
    Faults::servable(&faults, options.tls)?;
    Ok(Faults::new(faults, Instant::now()))
}

fn policy(options: Options) -> Policy {
    let verify = match (options.no_verify, options.any_signature) {
        (true, _) => Verify::FormWithoutHash,
        (false, true) => Verify::Form,
        (false, false) => Verify::Known,
    };
    Policy {
        verify,
        access_key: options.access_key,
        secret_key: options.secret_key,
        latency: options.latency,
        tls: options.tls,
    }
}

/// The one line on stdout. Whoever started us reads it to learn the port, so it must not wait in a buffer.
fn announce(listener: &TcpListener, tls: bool) -> std::io::Result<()> {
    let scheme = if tls { "https" } else { "http" };
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "listening on {scheme}://{}", listener.local_addr()?)?;
    stdout.flush()
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, server: Rc<Server>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::task::spawn_local(connection(stream, acceptor.clone(), server.clone()));
            }
            Err(error) => {
                eprintln!("cloudwatch-standin: cannot accept a connection: {error}; trying on");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, acceptor: Option<TlsAcceptor>, server: Rc<Server>) {
    // Without it a small answer may wait for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    server.connection_opened();
    match acceptor {
        None => serve(stream, |stream| stream, &server).await,
        Some(_) if server.hangs_handshake() => swallow(stream).await,
        Some(acceptor) => match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => serve(stream, |stream| stream.get_ref().0, &server).await,
            Ok(Err(error)) => eprintln!("cloudwatch-standin: TLS handshake: {error}"),
            Err(_) => eprintln!("cloudwatch-standin: TLS handshake: no answer in {HANDSHAKE_TIMEOUT:?}"),
        },
    }
    server.connection_closed();
}

/// Says nothing until the client goes away.
async fn swallow(mut stream: TcpStream) {
    let mut bytes = [0; 4096];
    while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
}

async fn serve<S>(stream: S, socket_of: impl Fn(&S) -> &TcpStream, server: &Rc<Server>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let service = service_fn(|request| server.clone().respond(request));
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // Another error is a client that went away in the middle of something; its call has been counted.
    if (&mut connection).await.is_err_and(|error| Ended::is_reset(&error)) {
        let stream = connection.into_parts().io.into_inner();
        // Closing a socket that may not linger resets the connection.
        let _ = socket_of(&stream).set_zero_linger();
    }
}
