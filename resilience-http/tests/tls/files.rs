//! Errors of files that cannot be used.

use std::path::{Path, PathBuf};

use resilience_http::client::{BuildError, ResilientClient, TlsFileProblem};

use crate::authority::{Ca, file};
use crate::{TEXT, profile, trusting};

fn root_error(path: &Path) -> BuildError {
    let client = ResilientClient::builder(&profile(TEXT)).root_certificate(path);
    client.build().map(drop).unwrap_err()
}

/// Asserts the error of a root certificate file.
fn of_root(path: &Path, problem: &str) {
    assert_eq!(
        root_error(path).to_string(),
        format!("`root_certificate` {}: {problem}", path.display())
    );
}

#[test]
fn a_missing_file_is_unreadable() {
    let path = PathBuf::from("/nonexistent/ca.pem");
    of_root(&path, "cannot be read: No such file or directory (os error 2)");
    let BuildError::TlsFile(error) = root_error(&path) else { panic!("another error") };
    assert_eq!((error.option(), error.path()), ("root_certificate", &*path));
    let TlsFileProblem::Unreadable(reason) = error.problem() else { panic!("another problem") };
    assert_eq!(reason.kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn a_directory_is_unreadable() {
    of_root(Path::new("/"), "cannot be read: Is a directory (os error 21)");
}

#[test]
fn an_empty_file_has_no_certificate() {
    of_root(&file(""), "has no certificate in PEM");
}

#[test]
fn other_content_has_no_certificate() {
    of_root(&file([0x30, 0x82, 0xff, 0x00]), "has no certificate in PEM");
    let key = Ca::new("ours").local().key.serialize_pem();
    of_root(&file(key), "has no certificate in PEM");
}

#[test]
fn a_huge_file_is_too_large() {
    of_root(&file(vec![b'\n'; (1 << 20) + 1]), "is larger than 1048576 bytes");
    of_root(&file(vec![b'\n'; 1 << 20]), "has no certificate in PEM");
    of_root(Path::new("/dev/zero"), "is larger than 1048576 bytes");
}

#[test]
fn a_damaged_entry_is_malformed() {
    let good = Ca::new("ours").root();
    let begin = "-----BEGIN CERTIFICATE-----";
    let end = "-----END CERTIFICATE-----";
    for (second, problem) in [
        (format!("{begin}\nAAAA\n{end}\n"), "not an X.509 certificate"),
        (format!("{begin}\n{end}\n"), "not an X.509 certificate"),
        (format!("{begin}\n?\n{end}\n"), "not base64"),
        (format!("{begin}\nAAAA\n"), "it has no end"),
        ("-----BEGIN CERTIFICATE---\n".to_owned(), "its first line does not end in -----"),
    ] {
        let path = file(format!("{good}{second}"));
        of_root(&path, &format!("entry 2 is malformed: {problem}"));
    }
}

/// Asserts the error of one of the files of an identity.
fn of_identity(certificates: &Path, key: &Path, path: &Path, problem: &str) {
    let client = ResilientClient::builder(&profile(TEXT)).identity(certificates, key);
    let error = client.build().map(drop).unwrap_err();
    assert_eq!(error.to_string(), format!("`identity` {}: {problem}", path.display()));
}

#[test]
fn the_files_of_an_identity_are_checked() {
    let ca = Ca::new("ours");
    let client = ca.local();
    let other = ca.local();
    let certificate = file(client.certificate.pem());
    let key = file(client.key.serialize_pem());
    let missing = PathBuf::from("/nonexistent/key.pem");
    let no_such_file = "cannot be read: No such file or directory (os error 2)";
    of_identity(&missing, &key, &missing, no_such_file);
    of_identity(&certificate, &missing, &missing, no_such_file);
    of_identity(&key, &key, &key, "has no certificate in PEM");
    let no_key = "has no unencrypted private key in PEM";
    of_identity(&certificate, &certificate, &certificate, no_key);
    let begin = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----";
    let encrypted = file(begin);
    of_identity(&certificate, &encrypted, &encrypted, no_key);
    let another = file(other.key.serialize_pem());
    of_identity(&certificate, &another, &another, "the key belongs to another certificate");
    let damaged = file("-----BEGIN PRIVATE KEY-----\n?\n-----END PRIVATE KEY-----");
    of_identity(&certificate, &damaged, &damaged, "entry 1 is malformed: not base64");
    let junk = file("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----");
    of_identity(&certificate, &junk, &junk, "the key is damaged, or not one for TLS");
    let junk = file("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----");
    of_identity(&junk, &key, &junk, "entry 1 is malformed: not an X.509 certificate");
}

/// A client that is already built has its certificates.
#[test]
fn tls_files_for_a_built_client_are_rejected() {
    let ready = reqwest::Client::builder().no_proxy().build().unwrap();
    let client = || ResilientClient::builder(&profile(TEXT)).client(ready.clone());
    let bound = "must be unset with a `client` that is already built";
    let error = client().root_certificate("/a/ca.pem").build().map(drop).unwrap_err();
    let problem = format!("invalid configuration: `root_certificate` is /a/ca.pem, {bound}");
    assert_eq!(error.to_string(), problem);
    let error = client().identity("/a/us.pem", "/a/key.pem").build().map(drop).unwrap_err();
    let problem = format!("invalid configuration: `identity` is /a/us.pem, {bound}");
    assert_eq!(error.to_string(), problem);
}

/// Files are read when the client is built, and never again.
#[test]
fn a_client_outlives_its_files() {
    let root = Ca::new("ours").root_file();
    let client = trusting(&Ca::new("theirs")).root_certificate(&root);
    std::fs::remove_file(&root).unwrap();
    assert!(client.build().is_err());
}
