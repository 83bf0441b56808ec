// A driver of imds-conformance for the AWS SDK for Go v1, which has reached the end of its support. It
// reports the credentials of a session over the line protocol.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/ec2metadata"
	"github.com/aws/aws-sdk-go/aws/session"
)

func failed(err error) string {
	return "error " + strings.Join(strings.Fields(err.Error()), " ")
}

func get(sdk *session.Session) string {
	credentials, err := sdk.Config.Credentials.Get()
	if err != nil {
		return failed(err)
	}
	expires, err := sdk.Config.Credentials.ExpiresAt()
	if err != nil {
		return "credentials " + credentials.AccessKeyID
	}
	return "credentials " + credentials.AccessKeyID + " " + expires.UTC().Format(time.RFC3339)
}

func getAtOnce(sdk *session.Session, callers int) string {
	answers := make([]string, callers)
	var asking sync.WaitGroup
	for caller := range answers {
		asking.Add(1)
		go func(caller int) {
			defer asking.Done()
			answers[caller] = get(sdk)
		}(caller)
	}
	asking.Wait()
	return strings.Join(answers, "\n")
}

func metadata(client *ec2metadata.EC2Metadata, path string) string {
	value, err := client.GetMetadata(path)
	if err != nil {
		return failed(err)
	}
	return "value " + strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(value)
}

func main() {
	// This sends no request.
	sdk, configured := session.NewSession(&aws.Config{
		Region: aws.String("us-east-1"),
		// By default, the SDK writes warnings to standard output.
		Logger: aws.LoggerFunc(func(words ...interface{}) { fmt.Fprintln(os.Stderr, words...) }),
	})
	var client *ec2metadata.EC2Metadata
	if configured == nil {
		client = ec2metadata.New(sdk)
	}
	fmt.Println("ready concurrent metadata")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		question, argument, _ := strings.Cut(lines.Text(), " ")
		callers := 1
		if question == "get" && argument != "" {
			callers, _ = strconv.Atoi(argument)
		}
		switch {
		case configured != nil:
			fmt.Println(strings.Repeat(failed(configured)+"\n", callers-1) + failed(configured))
		case question == "get":
			fmt.Println(getAtOnce(sdk, callers))
		case question == "metadata":
			fmt.Println(metadata(client, argument))
		default:
			fmt.Println("error unsupported " + question)
		}
	}
}
