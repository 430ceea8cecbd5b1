//! Puts our encoded body in place of the SDK's own, before it signs, and says its hash, so that the SDK does not compute
//! it once more.

use aws_runtime::auth::PayloadSigningOverride;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextMut;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use bytes::Bytes;

use crate::sys::sha256::Digest;

#[derive(Debug)]
pub struct OurBody {
    pub payload: Bytes,
    pub gzip: bool,
    /// Of the payload, as it is on the wire.
    pub digest: Digest,
}

#[dyn_dispatch_hint]
impl Intercept for OurBody {
    fn name(&self) -> &'static str {
        "OurBody"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        let headers = request.headers_mut();
        headers.insert("content-length", self.payload.len().to_string());
        if self.gzip {
            headers.insert("content-encoding", "gzip");
        }
        *request.body_mut() = SdkBody::from(self.payload.clone());
        // The SDK finds it by its type: with an aws-runtime other than the SDK's own it would be passed over in silence,
        // and the body hashed again.
        let hash = self.digest.iter().map(|byte| format!("{byte:02x}")).collect();
        config.interceptor_state().store_put(PayloadSigningOverride::Precomputed(hash));
        Ok(())
    }
}
