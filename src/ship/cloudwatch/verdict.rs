//! What the SDK's errors mean, in the core's words: the table of answers.

use aws_sdk_cloudwatchlogs::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::super::answer::{Answer, Rejected};
use crate::limits::ERROR_CHARACTERS_MAX;

/// The table of answers: what an error of the service or of the way to it means.
pub fn refused<E>(error: &SdkError<E, HttpResponse>) -> Answer
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match error {
        SdkError::ConstructionFailure(_) | SdkError::DispatchFailure(_) if wants_region(&chain(error)) => {
            Answer::Denied(NO_REGION.to_owned())
        }
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
            // What the HTTP client says of a connection that broke off counts as "other" with the SDK.
            if failure.is_io() || failure.is_timeout() || detail.contains(HTTP_CLIENT) {
                let lost = !connection_never_was(error);
                return Answer::Unavailable { detail, lost };
            }
            // Not the network: no credentials, no region.
            Answer::Denied(detail)
        }
        _ => Answer::Unavailable { detail: chain(error), lost: true },
    }
}

/// The SDK looked for one in the environment, in profiles and where the machine stands.
const NO_REGION: &str = "no region is known: set AWS_REGION, give --region, or name the log group by its ARN";

/// Without an endpoint of one's own it is a rule that finds this out, with one it is the signature.
fn wants_region(detail: &str) -> bool {
    detail.contains("Missing Region") || detail.contains("missing signing region")
}

fn verdict(status: u16, code: &str, message: &str) -> Answer {
    let detail = || one_line(&format!("{code}: {message}"));
    match (status, code) {
        (..=399, "") => no_answer(status),
        (_, "ResourceAlreadyExistsException" | "DataAlreadyAcceptedException") => Answer::Accepted(Rejected::default()),
        (429, _) => Answer::Throttled,
        (_, code) if code.contains("Throttl") || code.contains("TooManyRequests") => Answer::Throttled,
        (_, "RequestLimitExceeded" | "SlowDown" | "BandwidthLimitExceeded" | "PriorRequestNotComplete") => {
            Answer::Throttled
        }
        // Another pump creates the same group at this moment.
        (_, "OperationAbortedException") => Answer::Throttled,
        (_, "ResourceNotFoundException") => Answer::NotFound(one_line(message)),
        // What failed, and whether before or after storing, is not said: it may be a proxy that stopped waiting.
        (500.., _) | (408, _) | (_, "RequestTimeout" | "RequestTimeoutException") => {
            Answer::Unavailable { detail: format!("HTTP {status} {}", detail()), lost: true }
        }
        (_, "ServiceUnavailableException") => {
            Answer::Unavailable { detail: format!("HTTP {status} {}", detail()), lost: false }
        }
        (401 | 403, _) => Answer::Denied(detail()),
        (
            _,
            "AccessDenied"
            | "AccessDeniedException"
            | "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "ExpiredTokenException"
            | "ExpiredToken"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "NotAuthorized"
            | "OptInRequired"
            | "RequestTimeTooSkewed"
            | "RequestExpired",
        ) => Answer::Denied(detail()),
        // Of groups, or streams, as many as the account may have: no waiting helps, and no event is to blame. Nor for an
        // endpoint that is another service's.
        (_, "LimitExceededException" | "UnknownOperationException") | (404 | 405, _) => {
            Answer::Denied(format!("HTTP {status} {}", detail()))
        }
        _ => Answer::Invalid(format!("HTTP {status} {}", detail())),
    }
}

/// A success that cannot be read: from a proxy, perhaps. It acknowledges nothing, and may have stored everything.
pub fn no_answer(status: u16) -> Answer {
    Answer::Unavailable { detail: format!("HTTP {status} with an answer that is none"), lost: true }
}

/// Nothing can have been stored by a service that was never connected to.
fn connection_never_was(error: &(dyn std::error::Error + 'static)) -> bool {
    sources(error).any(|source| {
        let text = source.to_string();
        ["tcp connect error", "dns error", "client error (Connect)"].iter().any(|never| text.contains(never))
    })
}

/// How hyper's client begins what it has to say.
const HTTP_CLIENT: &str = "client error (";

const TOKEN_HEADER: &str = "x-amz-security-token";

/// The whole story of an error, from the outside to its root, in one line. Of the SDK's own outermost words nobody
/// learns anything.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = String::new();
    for source in sources(error) {
        let part = source.to_string();
        if part != "dispatch failure" && part != "other" && !text.contains(&part) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&part);
        }
    }
    one_line(&text)
}

/// Where the service begins to repeat the whole request that a wrong signature was for: with the session's token in it.
const REPEATED_REQUEST: &str = "The Canonical String for this request";

/// A message of ours is one line, and tells no secret; the service's are not so.
fn one_line(text: &str) -> String {
    let told = text.split(REPEATED_REQUEST).next().unwrap_or_default();
    // However it is written, and whatever stands between it and the token.
    let end = told.to_ascii_lowercase().find(TOKEN_HEADER).unwrap_or(told.len());
    let mut line = told[..end].split_whitespace().collect::<Vec<_>>().join(" ");
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
    fn a_request_that_the_service_repeats_is_left_out_for_a_token_is_in_it() {
        let message = "The signature does not match.\n\nThe Canonical String for this request should have been\n'POST\n\
                       x-amz-security-token:secret\n'";
        let Answer::Denied(said) = verdict(403, "InvalidSignatureException", message) else { panic!() };
        assert_eq!(said, "InvalidSignatureException: The signature does not match.");
    }

    #[test]
    fn a_token_is_left_out_however_its_header_is_written() {
        for header in ["x-amz-security-token:", "X-Amz-Security-Token: ", "x-amz-security-token="] {
            let Answer::Denied(said) = verdict(403, "AccessDeniedException", &format!("no: {header}secret")) else {
                panic!()
            };
            assert_eq!(said, "AccessDeniedException: no:");
        }
    }

    #[test]
    fn every_answer_of_the_table_has_its_meaning() {
        let meaning = |status, code| match verdict(status, code, "m") {
            Answer::Accepted(_) => "accepted",
            Answer::Throttled => "throttled",
            Answer::Unavailable { lost: false, .. } => "unavailable",
            Answer::Unavailable { lost: true, .. } => "perhaps stored",
            Answer::NotFound(_) => "not found",
            Answer::Denied(_) => "denied",
            Answer::Invalid(_) => "invalid",
        };
        let table = [
            (400, "ThrottlingException", "throttled"),
            (429, "", "throttled"),
            (503, "ServiceUnavailableException", "perhaps stored"),
            (400, "ServiceUnavailableException", "unavailable"),
            (500, "InternalFailure", "perhaps stored"),
            (502, "", "perhaps stored"),
            (400, "ResourceNotFoundException", "not found"),
            (400, "ResourceAlreadyExistsException", "accepted"),
            (400, "ExpiredTokenException", "denied"),
            (400, "UnrecognizedClientException", "denied"),
            (400, "AccessDeniedException", "denied"),
            (403, "RequestTimeTooSkewed", "denied"),
            (400, "InvalidParameterException", "invalid"),
            (400, "SerializationException", "invalid"),
            (413, "", "invalid"),
            (400, "ExpiredToken", "denied"),
            (400, "RequestTimeTooSkewed", "denied"),
            (403, "", "denied"),
            (400, "OperationAbortedException", "throttled"),
            (400, "LimitExceededException", "denied"),
            (400, "UnknownOperationException", "denied"),
            (404, "", "denied"),
            (408, "", "perhaps stored"),
            (400, "RequestTimeoutException", "perhaps stored"),
            (400, "DataAlreadyAcceptedException", "accepted"),
            (400, "ValidationException", "invalid"),
            (400, "", "invalid"),
            (200, "", "perhaps stored"),
            (302, "", "perhaps stored"),
        ];
        for (status, code, expected) in table {
            assert_eq!(meaning(status, code), expected, "{status} {code}");
        }
    }

    #[test]
    fn a_session_token_that_the_service_repeats_is_not_repeated() {
        let told = "Does not match.\n\nThe Canonical String for this request should have been\n'POST\nx-amz-security-token:secret\n'";
        let Answer::Denied(detail) = verdict(403, "InvalidSignatureException", told) else { panic!("it is denied") };
        assert_eq!(detail, "InvalidSignatureException: Does not match.");
        assert_eq!(one_line("headers:\n host:h\n 'x-amz-security-token:secret\nend"), "headers: host:h '");
    }
}
