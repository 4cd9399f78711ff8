//! What is said of files that cannot be used.

use std::path::{Path, PathBuf};

use resilience_http::client::{BuildError, ResilientClient, TlsFileProblem};

use crate::authority::{Ca, file};
use crate::{TEXT, profile, trusting};

fn root_error(path: &Path) -> BuildError {
    let client = ResilientClient::builder(&profile(TEXT)).root_certificate(path);
    client.build().map(drop).unwrap_err()
}

/// Says exactly this of a root certificate.
fn of_root(path: &Path, said: &str) {
    assert_eq!(
        root_error(path).to_string(),
        format!("`root_certificate` {}: {said}", path.display())
    );
}

#[test]
fn no_file() {
    let path = PathBuf::from("/nonexistent/ca.pem");
    of_root(&path, "cannot be read: No such file or directory (os error 2)");
    let BuildError::TlsFile(error) = root_error(&path) else { panic!("another error") };
    assert_eq!((error.option(), error.path()), ("root_certificate", &*path));
    let TlsFileProblem::Unreadable(reason) = error.problem() else { panic!("another problem") };
    assert_eq!(reason.kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn a_directory() {
    of_root(Path::new("/"), "cannot be read: Is a directory (os error 21)");
}

#[test]
fn an_empty_file() {
    of_root(&file(""), "has no certificate in PEM");
}

#[test]
fn something_else() {
    of_root(&file([0x30, 0x82, 0xff, 0x00]), "has no certificate in PEM");
    let key = Ca::new("ours").local().key.serialize_pem();
    of_root(&file(key), "has no certificate in PEM");
}

#[test]
fn a_huge_file() {
    of_root(&file(vec![b'\n'; (1 << 20) + 1]), "is larger than 1048576 bytes");
    of_root(&file(vec![b'\n'; 1 << 20]), "has no certificate in PEM");
    of_root(Path::new("/dev/zero"), "is larger than 1048576 bytes");
}

#[test]
fn a_damaged_entry() {
    let good = Ca::new("ours").root();
    let (begin, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");
    for (second, said) in [
        (format!("{begin}\nAAAA\n{end}\n"), "not an X.509 certificate"),
        (format!("{begin}\n{end}\n"), "not an X.509 certificate"),
        (format!("{begin}\n?\n{end}\n"), "not base64"),
        (format!("{begin}\nAAAA\n"), "it has no end"),
        ("-----BEGIN CERTIFICATE---\n".to_owned(), "its first line does not end in -----"),
    ] {
        let path = file(format!("{good}{second}"));
        of_root(&path, &format!("entry 2 is malformed: {said}"));
    }
}

/// Says exactly this of one of an identity's files.
fn of_identity(certificates: &Path, key: &Path, path: &Path, said: &str) {
    let client = ResilientClient::builder(&profile(TEXT)).identity(certificates, key);
    let error = client.build().map(drop).unwrap_err();
    assert_eq!(error.to_string(), format!("`identity` {}: {said}", path.display()));
}

#[test]
fn an_identity() {
    let ca = Ca::new("ours");
    let (us, other) = (ca.local(), ca.local());
    let (certificate, key) = (file(us.certificate.pem()), file(us.key.serialize_pem()));
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

/// A client that is given as it is has its certificates already.
#[test]
fn options_that_a_given_client_would_not_hear_of() {
    let ready = reqwest::Client::builder().no_proxy().build().unwrap();
    let client = || ResilientClient::builder(&profile(TEXT)).client(ready.clone());
    let bound = "must be left to who built the `client` that is given";
    let error = client().root_certificate("/a/ca.pem").build().map(drop).unwrap_err();
    let said = format!("invalid configuration: `root_certificate` is /a/ca.pem, {bound}");
    assert_eq!(error.to_string(), said);
    let error = client().identity("/a/us.pem", "/a/key.pem").build().map(drop).unwrap_err();
    let said = format!("invalid configuration: `identity` is /a/us.pem, {bound}");
    assert_eq!(error.to_string(), said);
}

/// Files are read when the client is built, and only then.
#[test]
fn a_client_outlives_its_files() {
    let root = Ca::new("ours").root_file();
    let client = trusting(&Ca::new("theirs")).root_certificate(&root);
    std::fs::remove_file(&root).unwrap();
    assert!(client.build().is_err());
}
