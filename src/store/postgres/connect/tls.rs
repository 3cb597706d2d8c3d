//! How a connection to Postgres is protected.

use crate::error::{Error, Kind, Result};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error as Failure, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};
use std::{path::Path, sync::Arc};

/// What is asked of the server's certificate, by the words of libpq.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Somebody who is trusted vouches that it is this host's.
    VerifyFull,
    /// Somebody who is trusted vouches for it, whosever it is.
    VerifyCa,
    /// Nothing: nobody can listen, but anybody can answer.
    Require,
    /// No TLS at all.
    Disable,
}

/// Looks at less than the library does.
#[derive(Debug)]
struct Lenient {
    /// Who may vouch. Nobody: every certificate will do.
    roots: Option<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl Mode {
    /// The word for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Mode::VerifyFull => "verify-full",
            Mode::VerifyCa => "verify-ca",
            Mode::Require => "require",
            Mode::Disable => "disable",
        }
    }

    /// What somebody who reads the report has to know about it, where the connection leaves the machine.
    pub(super) fn weakness(self) -> Option<&'static str> {
        match self {
            Mode::VerifyFull => None,
            Mode::VerifyCa => Some("the name in the server's certificate is not looked at"),
            Mode::Require => Some("nobody vouches for the server: whoever answers in its place is not noticed"),
            Mode::Disable => Some("it is not encrypted"),
        }
    }
}

/// What TLS has to look like. Nothing for no TLS.
///
/// # Errors
/// If there are no certificates of anybody who could vouch.
pub(super) fn config(mode: Mode, ca: Option<&Path>) -> Result<Option<ClientConfig>> {
    // As in libpq, whoever names a file wants it to be used.
    let mode = if mode == Mode::Require && ca.is_some() { Mode::VerifyCa } else { mode };
    let provider = Arc::new(ring::default_provider());
    let broken = |it: Failure| Error::new(Kind::Broken, format_args!("TLS cannot be set up: {it}"));
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(broken)?;
    let lenient = |roots| Arc::new(Lenient { roots, provider });
    let builder = match mode {
        Mode::Disable => return Ok(None),
        Mode::VerifyFull => builder.with_root_certificates(roots(ca)?),
        Mode::VerifyCa => builder.dangerous().with_custom_certificate_verifier(lenient(Some(roots(ca)?))),
        Mode::Require => builder.dangerous().with_custom_certificate_verifier(lenient(None)),
    };
    Ok(Some(builder.with_no_client_auth()))
}

/// The certificates of that file, or those that the system trusts.
fn roots(ca: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca else {
        let system = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(system.certs);
        if roots.is_empty() {
            let instead =
                "install ca-certificates, or name a file: `ca` in the plan, sslrootcert in the address, PGSSLROOTCERT";
            return Err(Error::new(Kind::Store, format_args!("this system trusts no certificates; {instead}")));
        }
        return Ok(roots);
    };
    let failed = |it: &dyn std::fmt::Display| {
        Error::new(Kind::Store, format_args!("{}, the certificates to trust: {it}", path.display()))
    };
    for certificate in CertificateDer::pem_file_iter(path).map_err(|it| failed(&it))? {
        roots.add(certificate.map_err(|it| failed(&it))?).map_err(|it| failed(&it))?;
    }
    if roots.is_empty() {
        return Err(failed(&"there is none in PEM, which begins with -----BEGIN CERTIFICATE-----"));
    }
    Ok(roots)
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Failure> {
        if let Some(roots) = &self.roots {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Failure> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Failure> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
