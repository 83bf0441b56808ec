//! A program that gets credentials through the component.

use ec2_role_host::Ec2RoleProvider;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // On EC2, omit the emulator and `endpoint`.
    let imds = imds_emulator::Emulator::builder().start().await?;
    let provider = Ec2RoleProvider::builder().endpoint(imds.url()).build().await?;
    let credentials = provider.credentials().await?;
    println!("credentials: {}", credentials.access_key_id());
    Ok(())
}
