//! Access keys for the buckets: asked for when they are needed, for just what is needed, kept in memory, made anew
//! before they run out.
//!
//! Never prints one, never puts one into a child's environment. Refuses to decide which buckets are needed.

use std::time::Duration;

use super::child::{self, Wait};
use super::store::{Credentials, Store};
use anyhow::{Context, Result, anyhow, bail};
use aws_credential_types::provider::ProvideCredentials;
use serde::Deserialize;
use tokio::task::JoinHandle;
use xshell::Shell;
use xtask::domain::environment::{self, Access};

/// How long a program may take that makes keys: it may ask for a passphrase, or for a touch.
const LONGEST: Duration = Duration::from_secs(180);

/// What a program prints that makes keys, such as Garage's `garage-ephemeral-key`.
#[derive(Deserialize)]
struct Printed {
    id: String,
    secret_key: String,
}

/// Where keys for some buckets come from.
#[derive(Clone)]
pub struct KeySource {
    pub credentials: environment::Credentials,
    pub access: Access,
    pub buckets: Vec<String>,
}

impl KeySource {
    /// Asks for a key.
    ///
    /// # Errors
    /// The program fails or prints something else (which is not shown: it may be half a secret), or the AWS chain finds
    /// nothing.
    pub async fn obtain(&self) -> Result<Credentials> {
        match &self.credentials {
            environment::Credentials::Command { program, .. } => {
                let command = environment::credentials_command(program, self.access, &self.buckets);
                from_program(&command).await
            }
            environment::Credentials::Aws {} => from_aws().await,
        }
    }

    /// Obtains keys for `store` again and again, until the returned value is dropped.
    pub fn keep_fresh(self, store: Store) -> Option<Renewal> {
        let environment::Credentials::Command { renew_after_minutes, .. } = self.credentials else { return None };
        let period = Duration::from_secs(60 * renew_after_minutes);
        Some(Renewal(tokio::spawn(async move {
            loop {
                tokio::time::sleep(period).await;
                // The key in use is still good for a while: what went wrong shows when it no longer is.
                match self.obtain().await {
                    Ok(credentials) => store.renew(credentials),
                    Err(error) => xtask::tools::term::warn(format_args!("cannot renew the access key: {error:#}")),
                }
            }
        })))
    }
}

/// A task that keeps a key fresh.
pub struct Renewal(JoinHandle<()>);

impl Drop for Renewal {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn from_program(command: &[String]) -> Result<Credentials> {
    let [program, arguments @ ..] = command else { bail!("the program that makes keys has no name") };
    let running = {
        let sh = Shell::new().context("cannot determine the current directory")?;
        let wait = Wait::for_(format!("`{program}`, which makes access keys")).at_most(LONGEST).trusted();
        child::read(sh.cmd(program).args(arguments), &wait)
    };
    let printed = running.await.context("cannot get an access key")?;
    // serde's errors quote what they read.
    let Printed { id, secret_key } = serde_json::from_str(&printed).map_err(|_| {
        anyhow!("`{program}` did not print {{\"id\": …, \"secret_key\": …}}, so there is no access key")
    })?;
    Ok(Credentials { id, secret: secret_key, session_token: None })
}

async fn from_aws() -> Result<Credentials> {
    let config = aws_config::defaults(aws_config::BehaviorVersion::latest()).load().await;
    let provider = config.credentials_provider().context("the AWS configuration names no credentials")?;
    let found = provider.provide_credentials().await.context("the usual places of AWS credentials hold none")?;
    Ok(Credentials {
        id: found.access_key_id().to_owned(),
        secret: found.secret_access_key().to_owned(),
        session_token: found.session_token().map(str::to_owned),
    })
}
