//! The command line and its environment twins. Knows nothing of what they cause.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use clap::builder::FalseyValueParser;

/// A stand-in for CloudWatch Logs: the part of its API that log shippers and readers use, on loopback, in memory.
///
/// It checks what AWS checks (limits, names, order, ages, signatures) and answers with AWS's error types. Any AWS
/// SDK can use it: set the endpoint URL to the line it prints, and any region and credentials.
///
/// Signatures: requests of the access key --access-key are verified in full against --secret-key, which includes
/// the hash of the body. Of any other access key the secret is unknown, so only the form of the header, its scope
/// and its date are checked.
///
/// GET /stats tells what arrived, as JSON. GET /healthz answers 200. SIGTERM and SIGINT end it with code 0.
#[derive(Parser, Debug)]
#[command(name = "cloudwatch-standin", version, after_long_help = crate::faults::HELP)]
pub struct Options {
    /// Where to listen; port 0 takes a free one. The one line on stdout tells which: `listening on http://...`
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4580")]
    #[arg(env = "CLOUDWATCH_STANDIN_LISTEN", help_heading = "Serving")]
    pub listen: SocketAddr,

    /// Serve HTTPS with a certificate made at start, for localhost, 127.0.0.1 and ::1
    #[arg(long, env = "CLOUDWATCH_STANDIN_TLS", value_parser = FalseyValueParser::new(), help_heading = "Serving")]
    pub tls: bool,

    /// With --tls: write the authority that clients must trust to this file (PEM), before the line on stdout
    #[arg(long, value_name = "FILE", env = "CLOUDWATCH_STANDIN_CERT_OUT", help_heading = "Serving")]
    pub cert_out: Option<PathBuf>,

    /// Hold every answer to an AWS call back for this long, without holding up others (`25ms`, `2s`)
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
    #[arg(env = "CLOUDWATCH_STANDIN_LATENCY", help_heading = "Serving")]
    pub latency: Duration,

    /// Do wrong on purpose: `throttle:rate=0.5; lost:every=10`. May be repeated; see "Fault scripts" below
    #[arg(long = "fault", value_name = "SCRIPT", env = "CLOUDWATCH_STANDIN_FAULT", help_heading = "Faults")]
    pub faults: Vec<String>,

    /// The same from a file
    #[arg(long, value_name = "FILE", env = "CLOUDWATCH_STANDIN_FAULT_FILE", help_heading = "Faults")]
    pub fault_file: Option<PathBuf>,

    /// A log group that exists from the start; may be repeated (in the environment: separated by commas)
    #[arg(long = "group", value_name = "NAME", value_delimiter = ',')]
    #[arg(env = "CLOUDWATCH_STANDIN_GROUP", help_heading = "Keeping")]
    pub groups: Vec<String>,

    /// Keep no events: parse, check and count all the same, then forget. GetLogEvents then says so
    #[arg(long, env = "CLOUDWATCH_STANDIN_COUNT_ONLY", value_parser = FalseyValueParser::new(), help_heading = "Keeping")]
    pub count_only: bool,

    /// The most memory for kept events (`512MiB`, `4GiB`); beyond it PutLogEvents answers ServiceUnavailableException
    #[arg(long, value_name = "SIZE", default_value = "4GiB", value_parser = parse_size)]
    #[arg(env = "CLOUDWATCH_STANDIN_KEEP_MAX", help_heading = "Keeping")]
    pub keep_max: u64,

    /// The access key id whose signatures are verified in full
    #[arg(long, value_name = "ID", default_value = "demo")]
    #[arg(env = "CLOUDWATCH_STANDIN_ACCESS_KEY", help_heading = "Signatures")]
    pub access_key: String,

    /// Its secret
    #[arg(long, value_name = "SECRET", default_value = "demo")]
    #[arg(env = "CLOUDWATCH_STANDIN_SECRET_KEY", help_heading = "Signatures")]
    pub secret_key: String,

    /// Verify no signature, only its form; a body hash in x-amz-content-sha256 is still compared
    #[arg(long, env = "CLOUDWATCH_STANDIN_ANY_SIGNATURE", value_parser = FalseyValueParser::new(), help_heading = "Signatures")]
    pub any_signature: bool,

    /// Hash nothing at all, check the form only: to measure a client without this server's SHA-256
    #[arg(long, env = "CLOUDWATCH_STANDIN_NO_VERIFY", value_parser = FalseyValueParser::new(), help_heading = "Signatures")]
    pub no_verify: bool,
}

/// `1048576`, `64KiB`, `512MiB`, `4GiB`.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit: u64 = match text[digits.len()..].trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        other => return Err(format!("unknown unit `{other}`: use B, KiB, MiB or GiB")),
    };
    let number: u64 = digits.parse().map_err(|error| format!("`{text}`: {error}"))?;
    let bytes = number.checked_mul(unit);
    bytes.ok_or_else(|| format!("`{text}` is more than 2^64 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units() {
        assert_eq!(parse_size("7"), Ok(7));
        assert_eq!(parse_size("64KiB"), Ok(65_536));
        assert_eq!(parse_size("4GiB"), Ok(4_294_967_296));
        for text in ["", "GiB", "4GB", "-1", "99999999999GiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        <Options as clap::CommandFactory>::command().debug_assert();
    }
}
