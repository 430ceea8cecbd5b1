//! Signature Version 4: reads the Authorization header, and recomputes a signature whose secret is known.
//! Knows nothing of bodies but their SHA-256. Source of the procedure: AWS IAM User Guide,
//! "Create a signed AWS API request".

use hyper::HeaderMap;
use sha2::{Digest, Sha256};

use crate::fail::Failure;
use crate::limits::SKEW_S_MAX;
use crate::time::{format_amz_date, parse_amz_date};

const SERVICE: &str = "logs";

/// What a request says about its own signature, well-formed but not yet believed.
#[derive(Debug)]
pub struct Claim {
    pub access_key: String,
    pub region: String,
    service: String,
    date: String,
    amz_date: String,
    signed_headers: Vec<String>,
    signature: String,
}

/// What was signed, as it arrived.
pub struct Signed<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    pub headers: &'a HeaderMap,
    /// SHA-256 of the body as it was on the wire, in lower-case hex.
    pub body_hash: &'a str,
}

/// Checks form, scope and date.
pub fn claim(headers: &HeaderMap, now_s: i64) -> Result<Claim, Failure> {
    let Some(authorization) = text(headers, "authorization") else {
        let message = "Missing Authentication Token";
        return Err(Failure::new(403, "MissingAuthenticationTokenException", message));
    };
    let claim = read(authorization, text(headers, "x-amz-date").unwrap_or_default())?;
    if claim.service != SERVICE {
        return Err(Failure::bad_signature(format!("Credential should be scoped to correct service: '{SERVICE}'. ")));
    }
    for header in ["host", "x-amz-date"] {
        if !claim.signed_headers.iter().any(|signed| signed == header) {
            return Err(Failure::bad_signature(format!(
                "'{header}' must be a 'SignedHeader' in the AWS Authorization."
            )));
        }
    }
    let signed_s = parse_amz_date(&claim.amz_date)
        .ok_or_else(|| incomplete(&format!("Date must be in ISO-8601 'basic format'. Got '{}'.", claim.amz_date)))?;
    if !claim.amz_date.starts_with(&claim.date) {
        return Err(Failure::bad_signature(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{}'.",
            claim.date, claim.amz_date
        )));
    }
    skew(&claim.amz_date, signed_s, now_s)?;
    Ok(claim)
}

fn read(authorization: &str, amz_date: &str) -> Result<Claim, Failure> {
    let Some(fields) = authorization.strip_prefix("AWS4-HMAC-SHA256 ") else {
        return Err(incomplete("Unsupported signing algorithm: AWS4-HMAC-SHA256 is the one that is served."));
    };
    let field = |name: &str| {
        let mut all = fields.split(',').filter_map(|field| field.trim().split_once('='));
        let found = all.find(|(key, _)| *key == name).map(|(_, value)| value);
        found.ok_or_else(|| incomplete(&format!("Authorization header requires '{name}' parameter.")))
    };
    let (credential, signed_headers, signature) = (field("Credential")?, field("SignedHeaders")?, field("Signature")?);
    // An access key id holds no slash, but nothing forbids one in a made-up id: the scope is the last four.
    let mut parts = credential.rsplitn(5, '/');
    let (Some("aws4_request"), Some(service), Some(region), Some(date), Some(access_key)) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(incomplete(&format!(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{credential}'"
        )));
    };
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if signature.len() != 64 || !signature.bytes().all(hex) {
        return Err(incomplete("Signature must be 64 digits of lower-case hex."));
    }
    if access_key.is_empty() || region.is_empty() {
        return Err(incomplete("Credential has an empty element."));
    }
    Ok(Claim {
        access_key: access_key.to_owned(),
        region: region.to_owned(),
        service: service.to_owned(),
        date: date.to_owned(),
        amz_date: amz_date.to_owned(),
        signed_headers: signed_headers.split(';').map(str::to_owned).collect(),
        signature: signature.to_owned(),
    })
}

fn skew(amz_date: &str, signed_s: i64, now_s: i64) -> Result<(), Failure> {
    let now = format_amz_date(now_s);
    let (early, late) = (format_amz_date(now_s - SKEW_S_MAX), format_amz_date(now_s + SKEW_S_MAX));
    let message = if signed_s < now_s - SKEW_S_MAX {
        format!("Signature expired: {amz_date} is now earlier than {early} ({now} - 5 min.)")
    } else if signed_s > now_s + SKEW_S_MAX {
        format!("Signature not yet current: {amz_date} is still later than {late} ({now} + 5 min.)")
    } else {
        return Ok(());
    };
    Err(Failure::bad_signature(message))
}

/// Recomputes the signature over what arrived.
pub fn verify(claim: &Claim, secret: &str, signed: &Signed) -> Result<(), Failure> {
    let canonical = canonical_request(claim, signed);
    let scope = format!("{}/{}/{}/aws4_request", claim.date, claim.region, claim.service);
    let to_sign = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", claim.amz_date, hex(&Sha256::digest(&canonical)));
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [&claim.date, &claim.region, &claim.service, "aws4_request"] {
        key = hmac(&key, part.as_bytes()).to_vec();
    }
    if hex(&hmac(&key, to_sign.as_bytes())) == claim.signature {
        return Ok(());
    }
    Err(Failure::bad_signature(format!(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
         Access Key and signing method. Consult the service documentation for details.\n\n\
         The Canonical String for this request should have been\n'{canonical}'\n\n\
         The String-to-Sign should have been\n'{to_sign}'\n"
    )))
}

fn canonical_request(claim: &Claim, signed: &Signed) -> String {
    let mut pairs: Vec<String> = signed.query.split('&').filter(|pair| !pair.is_empty()).map(with_equals).collect();
    pairs.sort();
    let mut lines = format!("{}\n{}\n{}\n", signed.method, signed.path, pairs.join("&"));
    for name in &claim.signed_headers {
        let values: Vec<String> = signed.headers.get_all(name).iter().map(trimmed).collect();
        lines.push_str(&format!("{name}:{}\n", values.join(",")));
    }
    lines.push_str(&format!("\n{}\n{}", claim.signed_headers.join(";"), signed.body_hash));
    lines
}

fn with_equals(pair: &str) -> String {
    match pair.contains('=') {
        true => pair.to_owned(),
        false => format!("{pair}="),
    }
}

/// Without white space at its ends, and with runs of spaces made one.
fn trimmed(value: &hyper::header::HeaderValue) -> String {
    let text = String::from_utf8_lossy(value.as_bytes());
    text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn incomplete(message: &str) -> Failure {
    Failure::new(400, "IncompleteSignatureException", message)
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Source: RFC 2104, with SHA-256's block of 64 bytes.
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    match key.len() <= block.len() {
        true => block[..key.len()].copy_from_slice(key),
        false => block[..32].copy_from_slice(&Sha256::digest(key)),
    }
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message);
    let outer = Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c));
    outer.chain_update(inner.finalize()).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: i64 = 1_440_938_160;

    fn headers(authorization: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", authorization.parse().unwrap());
        headers.insert("x-amz-date", "20150830T123600Z".parse().unwrap());
        headers
    }

    fn good(service: &str) -> String {
        let signature = "0".repeat(64);
        format!(
            "AWS4-HMAC-SHA256 Credential=demo/20150830/eu-west-1/{service}/aws4_request, SignedHeaders=host;x-amz-date, Signature={signature}"
        )
    }

    /// The worked example of the AWS General Reference (IAM ListUsers), with its published signature.
    #[test]
    fn the_published_example_verifies_and_a_changed_body_does_not() {
        let mut headers = HeaderMap::new();
        let content_type = "application/x-www-form-urlencoded; charset=utf-8";
        headers.insert("content-type", content_type.parse().unwrap());
        headers.insert("host", "iam.amazonaws.com".parse().unwrap());
        headers.insert("x-amz-date", "20150830T123600Z".parse().unwrap());
        let claim = read(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
            "20150830T123600Z",
        )
        .unwrap();
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        let mut signed = Signed {
            method: "GET",
            path: "/",
            query: "Version=2010-05-08&Action=ListUsers",
            headers: &headers,
            body_hash: empty,
        };
        assert_eq!(verify(&claim, secret, &signed), Ok(()));
        assert!(verify(&claim, "another", &signed).is_err());
        let other = empty.replace('e', "f");
        signed.body_hash = &other;
        assert_eq!(verify(&claim, secret, &signed).unwrap_err().kind, "InvalidSignatureException");
    }

    #[test]
    fn a_request_without_the_header_has_no_token() {
        let failure = claim(&HeaderMap::new(), NOW_S).unwrap_err();
        assert_eq!((failure.status, failure.kind), (403, "MissingAuthenticationTokenException"));
    }

    #[test]
    fn five_minutes_of_skew_pass_and_a_second_more_does_not() {
        let headers = headers(&good("logs"));
        for skew in [-300, 0, 300] {
            assert!(claim(&headers, NOW_S + skew).is_ok(), "{skew}");
        }
        let late = claim(&headers, NOW_S + 301).unwrap_err();
        assert_eq!(
            late.message,
            "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T124101Z - 5 min.)"
        );
        let early = claim(&headers, NOW_S - 301).unwrap_err();
        assert!(early.message.starts_with("Signature not yet current"), "{}", early.message);
    }

    #[test]
    fn every_deviation_from_the_form_is_refused() {
        let good = good("logs");
        assert!(claim(&headers(&good), NOW_S).is_ok());
        let long = good.replace(&"0".repeat(64), &"0".repeat(65));
        let bad = [
            good.replace("AWS4-HMAC-SHA256", "AWS3"),
            good.replace("Credential=", "Credentials="),
            good.replace("demo/", ""),
            good.replace("/aws4_request", "/aws4"),
            good.replace("SignedHeaders=host;x-amz-date", "SignedHeaders=x-amz-date"),
            good.replace("20150830/", "20150829/"),
            good.replace(&"0".repeat(64), &"Z".repeat(64)),
            long,
            self::good("s3"),
            "Bearer x".to_owned(),
        ];
        for authorization in bad {
            assert!(claim(&headers(&authorization), NOW_S).is_err(), "{authorization}");
        }
    }
}
