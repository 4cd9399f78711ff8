//! The certificate chain and key of a client (mutual TLS).

use std::path::PathBuf;

use reqwest::Identity;
use rustls::Error;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;

use super::error::{TlsFileError, TlsFileProblem};
use super::pem;
use crate::classify::TransportError;
use crate::client::BuildError;

/// The files of a certificate chain and its private key.
#[derive(Debug)]
pub(super) struct IdentityFiles {
    pub(super) certificates: PathBuf,
    pub(super) key: PathBuf,
}

impl IdentityFiles {
    pub(super) fn read(&self) -> Result<Identity, BuildError> {
        let of = |path| move |problem| TlsFileError::new("identity", path, problem);
        let is_certificate = |certificate: &_| ParsedCertificate::try_from(certificate).map(drop);
        let chain =
            pem::read(&self.certificates).and_then(|text| pem::certificates(&text, is_certificate));
        let chain = chain.map_err(of(&self.certificates))?;
        let key = pem::read(&self.key).and_then(|text| pem::key(&text)).map_err(of(&self.key))?;
        check_key(&chain, &key).map_err(of(&self.key))?;
        Ok(Identity::from_pem(text(&chain, &key).as_bytes()).map_err(TransportError::new)?)
    }
}

/// Checks that the key belongs to the chain, with the crypto provider that reqwest will use.
fn check_key(
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
) -> Result<(), TlsFileProblem> {
    let default;
    let provider = match CryptoProvider::get_default() {
        Some(installed) => &**installed,
        None => {
            default = aws_lc_rs::default_provider();
            &default
        }
    };
    match CertifiedKey::from_der(chain.to_vec(), key.clone_key(), provider) {
        Ok(_) => Ok(()),
        Err(Error::InconsistentKeys(_)) => Err(TlsFileProblem::KeyMismatch),
        Err(_) => Err(TlsFileProblem::UnusableKey),
    }
}

/// Returns the chain and the key as one PEM text, the only form that reqwest reads.
fn text(chain: &[CertificateDer<'_>], key: &PrivateKeyDer<'_>) -> String {
    let label = match key {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => "PRIVATE KEY",
    };
    let certificates = chain.iter().map(|certificate| pem::entry("CERTIFICATE", certificate));
    certificates.chain([pem::entry(label, key.secret_der())]).collect()
}
