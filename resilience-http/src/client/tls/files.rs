//! The TLS files of a client builder, which are read when the client is built.

use std::path::{Path, PathBuf};

use reqwest::{Certificate, ClientBuilder};
use resilience_core::InvalidConfig;
use rustls::RootCertStore;

use super::error::TlsFileError;
use super::identity::IdentityFiles;
use super::pem;
use crate::classify::TransportError;
use crate::client::BuildError;

const ROOT: &str = "root_certificate";

/// Paths of certificate and key files, before they are read.
#[derive(Debug, Default)]
pub(in crate::client) struct TlsFiles {
    roots: Vec<PathBuf>,
    identity: Option<IdentityFiles>,
}

impl TlsFiles {
    pub(in crate::client) fn add_root(&mut self, path: PathBuf) {
        self.roots.push(path);
    }

    pub(in crate::client) fn set_identity(&mut self, certificates: PathBuf, key: PathBuf) {
        self.identity = Some(IdentityFiles { certificates, key });
    }

    /// Rejects TLS files for a client that is already built, where they would have no effect.
    pub(in crate::client) fn check_unset(&self) -> Result<(), InvalidConfig> {
        let root = self.roots.first().map(|path| (ROOT, path));
        let identity = self.identity.as_ref().map(|files| ("identity", &files.certificates));
        match root.or(identity) {
            Some((option, path)) => Err(InvalidConfig::new(
                option,
                path.display(),
                "unset with a `client` that is already built",
            )),
            None => Ok(()),
        }
    }

    /// Reads the files and adds their contents to reqwest's builder.
    pub(in crate::client) fn configure(
        &self,
        mut builder: ClientBuilder,
    ) -> Result<ClientBuilder, BuildError> {
        for path in &self.roots {
            builder = builder.tls_backend_rustls().tls_certs_only(roots(path)?);
        }
        if let Some(files) = &self.identity {
            builder = builder.tls_backend_rustls().identity(files.read()?);
        }
        Ok(builder)
    }
}

fn roots(path: &Path) -> Result<Vec<Certificate>, BuildError> {
    let mut trusted = RootCertStore::empty();
    let certificates = pem::read(path)
        .and_then(|text| pem::certificates(&text, |root| trusted.add(root.clone())))
        .map_err(|problem| TlsFileError::new(ROOT, path, problem))?;
    let certificates = certificates.iter().map(|root| Certificate::from_der(root));
    Ok(certificates.collect::<Result<_, _>>().map_err(TransportError::new)?)
}
