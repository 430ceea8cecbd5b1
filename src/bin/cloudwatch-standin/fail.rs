//! What a refused call is answered with: AWS's error type, its HTTP status, a sentence.
//! Knows nothing of HTTP beyond the number.

use std::fmt::Display;

#[derive(Debug, PartialEq)]
pub struct Failure {
    pub status: u16,
    /// AWS's name of the error, as in `__type` and `x-amzn-errortype`.
    pub kind: &'static str,
    pub message: String,
}

impl Failure {
    pub fn new(status: u16, kind: &'static str, message: impl Into<String>) -> Failure {
        Failure { status, kind, message: message.into() }
    }

    pub fn invalid_parameter(message: impl Into<String>) -> Failure {
        Failure::new(400, "InvalidParameterException", message)
    }

    pub fn serialization(message: impl Into<String>) -> Failure {
        Failure::new(400, "SerializationException", message)
    }

    pub fn no_group() -> Failure {
        let message = "The specified log group does not exist.";
        Failure::new(400, "ResourceNotFoundException", message)
    }

    pub fn no_stream() -> Failure {
        let message = "The specified log stream does not exist.";
        Failure::new(400, "ResourceNotFoundException", message)
    }

    pub fn exists(what: &str) -> Failure {
        let message = format!("The specified {what} already exists");
        Failure::new(400, "ResourceAlreadyExistsException", message)
    }

    pub fn bad_signature(message: impl Into<String>) -> Failure {
        Failure::new(403, "InvalidSignatureException", message)
    }

    /// A member broke a constraint of the API model; `value` is already in AWS's form (`'x'` or `null`).
    pub fn constraint(value: impl Display, member: impl Display, constraint: &str) -> Failure {
        Failure::invalid_parameter(format!(
            "1 validation error detected: Value {value} at '{member}' failed to satisfy constraint: {constraint}"
        ))
    }

    pub fn missing(member: impl Display) -> Failure {
        Failure::constraint("null", member, "Member must not be null")
    }
}
