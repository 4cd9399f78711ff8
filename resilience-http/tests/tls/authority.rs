//! A certificate authority for the tests.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams,
    CertifiedIssuer, DnType, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SerialNumber, date_time_ymd,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, crypto::aws_lc_rs};

/// The serial number of the revoked certificate.
const REVOKED: u64 = 99;

/// Creates a file with this content and a unique name.
pub(crate) fn file(content: impl AsRef<[u8]>) -> PathBuf {
    static FILES: AtomicUsize = AtomicUsize::new(0);
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let name = format!("{}-{number}.pem", std::process::id());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, content).unwrap();
    path
}

pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub(crate) struct Issued {
    pub(crate) certificate: Certificate,
    pub(crate) key: KeyPair,
}

impl Ca {
    pub(crate) fn new(name: &str) -> Ca {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ca(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn root(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn root_file(&self) -> PathBuf {
        file(self.root())
    }

    /// Returns a certificate for this name, changed by `change` before it is signed.
    pub(crate) fn issue(&self, name: &str, change: fn(&mut CertificateParams)) -> Issued {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Issued { certificate: params.signed_by(&key, &self.0).unwrap(), key }
    }

    /// Returns a certificate for a server on this machine.
    pub(crate) fn local(&self) -> Issued {
        self.issue("127.0.0.1", |_| {})
    }

    /// Returns the certificate revocation list.
    pub(crate) fn revoked(&self) -> String {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(REVOKED),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(4000, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).unwrap().pem().unwrap()
    }
}

pub(crate) fn expired(params: &mut CertificateParams) {
    params.not_after = date_time_ymd(2020, 1, 1);
}

pub(crate) fn revoked(params: &mut CertificateParams) {
    params.serial_number = Some(SerialNumber::from(REVOKED));
}

impl Issued {
    /// Returns the configuration of a server with this certificate for HTTP/2 and HTTP/1, which
    /// requires a client certificate of `clients` if given.
    pub(crate) fn server(&self, clients: Option<&Ca>) -> ServerConfig {
        let versions = rustls::DEFAULT_VERSIONS;
        self.server_of(clients, versions)
    }

    pub(crate) fn server_of(
        &self,
        clients: Option<&Ca>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> ServerConfig {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let builder = builder.with_protocol_versions(versions).unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let mut roots = RootCertStore::empty();
                roots.add(ca.0.der().clone()).unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let key = PrivateKeyDer::Pkcs8(self.key.serialize_der().into());
        let mut config = builder.with_single_cert(vec![self.certificate.der().clone()], key);
        config.as_mut().unwrap().alpn_protocols = vec!["h2".into(), "http/1.1".into()];
        config.unwrap()
    }
}
