# The AWS SDK for Ruby for imds-conformance, over the line protocol: the credentials of the default chain,
# which is made once, as by a client of the SDK.

require "aws-sdk-core"

CHAIN = Mutex.new
$provider = nil

def get
  provider = CHAIN.synchronize { $provider ||= Aws::CredentialProviderChain.new.resolve }
  # A client reports no reason.
  return "error Unable to find credentials" unless provider&.set?

  credentials = provider.credentials
  expires = provider.respond_to?(:expiration) && provider.expiration
  "credentials #{credentials.access_key_id} #{expires ? expires.utc.strftime("%FT%TZ") : ""}".strip
rescue StandardError => error
  "error #{error.class}: #{error.message}".gsub(/\s+/, " ")
end

$stdout.sync = true
puts "ready concurrent"
while (line = $stdin.gets)
  question, argument = line.split
  if question == "get"
    puts Array.new((argument || 1).to_i) { Thread.new { get } }.map(&:value)
  else
    puts "error unsupported #{question}"
  end
end
