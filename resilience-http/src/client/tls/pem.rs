//! Reading PEM files, and writing PEM entries.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::error::TlsFileProblem;

/// The most bytes of a file that are read: four times the size of all roots that browsers trust.
const MAX_FILE_BYTES: u64 = 1 << 20;

pub(super) fn read(path: &Path) -> Result<Vec<u8>, TlsFileProblem> {
    match read_up_to(path, MAX_FILE_BYTES + 1) {
        Ok(bytes) if bytes.len() as u64 > MAX_FILE_BYTES => {
            Err(TlsFileProblem::TooLarge(MAX_FILE_BYTES))
        }
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(TlsFileProblem::Unreadable(error)),
    }
}

fn read_up_to(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Returns the certificates in a PEM text, at least one. Each must pass `check`.
pub(super) fn certificates(
    text: &[u8],
    mut check: impl FnMut(&CertificateDer<'static>) -> Result<(), rustls::Error>,
) -> Result<Vec<CertificateDer<'static>>, TlsFileProblem> {
    let mut certificates = Vec::new();
    for (entry, certificate) in (1..).zip(CertificateDer::pem_slice_iter(text)) {
        let malformed = |reason| TlsFileProblem::Malformed { entry, reason };
        let certificate = certificate.map_err(|error| malformed(reason(&error)))?;
        check(&certificate).map_err(|_| malformed("not an X.509 certificate".to_owned()))?;
        certificates.push(certificate);
    }
    if certificates.is_empty() { Err(TlsFileProblem::NoCertificate) } else { Ok(certificates) }
}

/// Returns the first private key in a PEM text.
pub(super) fn key(text: &[u8]) -> Result<PrivateKeyDer<'static>, TlsFileProblem> {
    match PrivateKeyDer::pem_slice_iter(text).next() {
        Some(Ok(key)) => Ok(key),
        Some(Err(error)) => Err(TlsFileProblem::Malformed { entry: 1, reason: reason(&error) }),
        None => Err(TlsFileProblem::NoKey),
    }
}

/// Describes an error without quoting the PEM text, which may contain a key.
fn reason(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "it has no end".to_owned(),
        pem::Error::IllegalSectionStart { .. } => "its first line does not end in -----".to_owned(),
        pem::Error::Base64Decode(_) => "not base64".to_owned(),
        other => other.to_string(),
    }
}

/// Returns an entry in PEM with this label.
pub(super) fn entry(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}
