//! Where credentials come from: the arguments that all commands share which ask IMDS.

use std::error::Error;
use std::path::PathBuf;

use ec2_role_host::{Builder, Ec2RoleProvider};

#[derive(Debug, clap::Args)]
pub(crate) struct Source {
    /// The base URL of IMDS [default: http://169.254.169.254]
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,

    /// Start the embedded emulator on a free port of the loopback interface, and use that.
    #[cfg(feature = "emulator")]
    #[arg(long, conflicts_with = "endpoint")]
    emulator: bool,

    /// Run this component in place of the built-in one.
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
}

/// A provider, and the emulator behind it if there is one.
pub(crate) struct Opened {
    pub(crate) provider: Ec2RoleProvider,
    #[cfg(feature = "emulator")]
    _emulator: Option<imds_emulator::Emulator>,
}

impl Source {
    pub(crate) async fn open(&self) -> Result<Opened, Box<dyn Error>> {
        let mut builder = self.builder()?;
        #[cfg(feature = "emulator")]
        let emulator = match self.emulator {
            true => Some(imds_emulator::Emulator::builder().start().await?),
            false => None,
        };
        #[cfg(feature = "emulator")]
        if let Some(emulator) = &emulator {
            builder = builder.endpoint(emulator.url());
        }
        if let Some(endpoint) = &self.endpoint {
            builder = builder.endpoint(endpoint);
        }
        Ok(Opened {
            provider: builder.build().await?,
            #[cfg(feature = "emulator")]
            _emulator: emulator,
        })
    }

    fn builder(&self) -> Result<Builder, Box<dyn Error>> {
        let builder = Ec2RoleProvider::builder();
        match &self.component {
            Some(file) => Ok(builder.component(read(file)?)),
            None => Ok(builder),
        }
    }
}

/// The bytes of a component.
pub(crate) fn read(file: &std::path::Path) -> Result<Vec<u8>, Box<dyn Error>> {
    std::fs::read(file)
        .map_err(|error| format!("cannot read the component {}: {error}", file.display()).into())
}
