use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    client::{ResolvesClientCert as _, danger::ServerCertVerifier},
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use rustls_platform_verifier::Verifier;
use wharf_error::{Error, Kind, Result, ResultExt as _};

use super::{
    client_certificates::ClientCertificates,
    material::Material,
    verifiers::{Here, Whoever},
};
use crate::hosts::Endpoint;

/// How TLS is spoken with a host: the system's authorities and its own are trusted, or whoever answers where
/// `skip_verify`. On a machine without authorities a host of plain http, and this machine itself, can still be asked.
/// Blocking: reads the system's authorities.
pub(super) fn config(endpoint: &Endpoint, material: &Material) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let authorities = authorities(material)?;
    let certificates = ClientCertificates::read(material, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .step(|| "choose the versions of TLS".into())?;
    let trusted = || Verifier::new_with_extra_roots(authorities.iter().cloned(), provider.clone());
    let builder = if endpoint.tls.skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Whoever(provider)))
    } else if endpoint.lenient {
        let others = trusted().ok().map(|verifier| Arc::new(verifier) as Arc<dyn ServerCertVerifier>);
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Here { provider, others }))
    } else {
        match trusted() {
            Ok(verifier) => builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)),
            Err(_) if endpoint.origin.scheme == "http" => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(authorities);
                builder.with_root_certificates(roots)
            }
            Err(error) => return Err(error).step(|| "collect the authorities to trust".into()),
        }
    };
    let mut config = match certificates.has_certs() {
        false => builder.with_no_client_auth(),
        true => builder.with_client_cert_resolver(Arc::new(certificates)),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn authorities(material: &Material) -> Result<Vec<CertificateDer<'static>>> {
    let mut authorities = Vec::new();
    for file in &material.ca {
        let step = || format!("read ca {}", file.path.display());
        let list = CertificateDer::pem_slice_iter(&file.bytes).collect::<Result<Vec<_>, _>>();
        let list = list.step_as(Kind::FailedPrecondition, step)?;
        if list.is_empty() {
            return Err(Error::new(Kind::FailedPrecondition, "there is no certificate in it")).step(step);
        }
        authorities.extend(list);
    }
    Ok(authorities)
}
