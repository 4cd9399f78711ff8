//! rustls errors: recognising a failed handshake, and a rejected certificate.

use std::error::Error as StdError;
use std::io;

use rustls::{AlertDescription, Error};

use super::failure::{Cause, TransportFailure, causes};

/// Returns the TLS failure that kept a connection from being made, if there is one.
pub(super) fn of_handshake(connecting: Cause<'_>) -> Option<TransportFailure> {
    // See docs/decisions/0028-a-bad-certificate-is-a-failure-of-the-server.md.
    match causes(connecting).find_map(<dyn StdError>::downcast_ref) {
        Some(error) if is_certificate_error(error) => Some(TransportFailure::Certificate),
        Some(_) => Some(TransportFailure::Tls),
        None => broke_off(connecting).then_some(TransportFailure::Tls),
    }
}

/// Returns the failure of a rustls error that is not known to come from a handshake. The client
/// verifies the server's certificate only in a handshake. Every other error may have come after the
/// request, such as the rejection of a client certificate in TLS 1.3 (RFC 8446 §4.4.2.4).
pub(super) fn of_connection(error: Cause<'_>) -> Option<TransportFailure> {
    causes(error).find_map(<dyn StdError>::downcast_ref).map(|error| match error {
        Error::InvalidCertificate(_) => TransportFailure::Certificate,
        _ => TransportFailure::ResetAfterSent,
    })
}

/// Returns `true` if a certificate was rejected: the server's by this client, or the client's by
/// the server.
fn is_certificate_error(error: &Error) -> bool {
    use AlertDescription as A;
    match error {
        Error::InvalidCertificate(_) | Error::NoCertificatesPresented => true,
        Error::AlertReceived(alert) => matches!(
            alert,
            A::BadCertificate
                | A::UnsupportedCertificate
                | A::CertificateRevoked
                | A::CertificateExpired
                | A::CertificateUnknown
                | A::CertificateRequired
                | A::UnknownCA
                | A::AccessDenied
        ),
        _ => false,
    }
}

/// Returns `true` if the peer broke off in the middle of the handshake.
fn broke_off(connecting: Cause<'_>) -> bool {
    // hyper-util's connector and tunnel wrap errors of the operating system in their own types, so
    // a bare one comes from the handshake on top of them.
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    causes(connecting).skip(1).map_while(<dyn StdError>::downcast_ref).any(|error: &io::Error| {
        matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::CertificateError;

    /// Wraps an error like tokio-rustls.
    fn wrapped(error: Error) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }

    #[test]
    fn a_rejected_server_certificate_is_from_a_handshake() {
        let unknown = wrapped(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        assert_eq!(TransportFailure::of(&unknown), TransportFailure::Certificate);
    }

    #[test]
    fn an_alert_may_have_come_after_the_request() {
        for alert in [AlertDescription::InternalError, AlertDescription::CertificateRequired] {
            let failure = TransportFailure::of(&wrapped(Error::AlertReceived(alert)));
            assert_eq!(failure, TransportFailure::ResetAfterSent, "{alert:?}");
            assert!(failure.may_have_run());
        }
    }

    #[test]
    fn an_alert_in_a_handshake_is_classified_by_its_cause() {
        for (alert, expected) in [
            (AlertDescription::UnknownCA, TransportFailure::Certificate),
            (AlertDescription::CertificateExpired, TransportFailure::Certificate),
            (AlertDescription::HandshakeFailure, TransportFailure::Tls),
            (AlertDescription::ProtocolVersion, TransportFailure::Tls),
        ] {
            let error = wrapped(Error::AlertReceived(alert));
            assert_eq!(of_handshake(&error), Some(expected), "{alert:?}");
        }
    }
}
