//! rustls' errors: whether a handshake failed, and by whose certificate.

use std::error::Error as StdError;
use std::io;

use rustls::{AlertDescription, Error};

use super::failure::{Cause, TransportFailure, causes};

/// What kept a connection from being made, if it was TLS.
pub(super) fn of_handshake(connecting: Cause<'_>) -> Option<TransportFailure> {
    // See docs/decisions/0028-a-bad-certificate-is-a-failure-of-the-server.md.
    match causes(connecting).find_map(<dyn StdError>::downcast_ref) {
        Some(error) if is_of_a_certificate(error) => Some(TransportFailure::Certificate),
        Some(_) => Some(TransportFailure::Tls),
        None => broke_off(connecting).then_some(TransportFailure::Tls),
    }
}

/// The same where nothing says that it was a handshake. A server's certificate is looked at in one and nowhere
/// else; everything else may have come after the request, as the rejection of a client's certificate does in
/// TLS 1.3 (RFC 8446 §4.4.2.4).
pub(super) fn of_connection(error: Cause<'_>) -> Option<TransportFailure> {
    causes(error).find_map(<dyn StdError>::downcast_ref).map(|error| match error {
        Error::InvalidCertificate(_) => TransportFailure::Certificate,
        _ => TransportFailure::ResetAfterSent,
    })
}

/// The server's, which we do not accept, or ours, which the server does not.
fn is_of_a_certificate(error: &Error) -> bool {
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

/// By the other side, in the middle of it. hyper-util's connector and tunnel wrap what the operating system says
/// in errors of their own; a bare one is that of the handshake on top of them.
fn broke_off(connecting: Cause<'_>) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    causes(connecting).skip(1).map_while(<dyn StdError>::downcast_ref).any(|error: &io::Error| {
        matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::CertificateError;

    /// As tokio-rustls hands it on.
    fn wrapped(error: Error) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }

    #[test]
    fn a_certificate_is_looked_at_in_a_handshake_only() {
        let unknown = wrapped(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        assert_eq!(TransportFailure::of(&unknown), TransportFailure::Certificate);
    }

    #[test]
    fn an_alert_that_may_have_come_later_proves_nothing() {
        for alert in [AlertDescription::InternalError, AlertDescription::CertificateRequired] {
            let failure = TransportFailure::of(&wrapped(Error::AlertReceived(alert)));
            assert_eq!(failure, TransportFailure::ResetAfterSent, "{alert:?}");
            assert!(failure.may_have_run());
        }
    }

    #[test]
    fn whose_certificate_it_was() {
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
