//! A certificate authority and a server certificate, made at start and forgotten at the end.

use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

const SERVED_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

type Failed = Box<dyn std::error::Error>;

/// Writes the authority to `authority_out` as PEM.
pub fn acceptor(authority_out: Option<&Path>) -> Result<TlsAcceptor, Failed> {
    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::new([])?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.distinguished_name.push(DnType::CommonName, "cloudwatch-standin authority");
    let authority_certificate = authority.self_signed(&authority_key)?;
    if let Some(path) = authority_out {
        std::fs::write(path, authority_certificate.pem())
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    let issuer = Issuer::new(authority, authority_key);

    let key = KeyPair::generate()?;
    let mut server = CertificateParams::new(SERVED_NAMES.map(str::to_owned))?;
    server.distinguished_name.push(DnType::CommonName, "cloudwatch-standin");
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Python refuses a chain without it from 3.13 on.
    server.use_authority_key_identifier_extension = true;
    let certificate = server.signed_by(&key, &issuer)?;

    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
