// A driver of imds-conformance for the AWS SDK for Go v2. It reports the credentials of the default
// configuration over the line protocol: IMDS behind the cache that every client of the SDK has.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
)

func failed(err error) string {
	return "error " + strings.Join(strings.Fields(err.Error()), " ")
}

func get(ctx context.Context, cfg aws.Config) string {
	credentials, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return failed(err)
	}
	if !credentials.CanExpire {
		return "credentials " + credentials.AccessKeyID
	}
	return "credentials " + credentials.AccessKeyID + " " + credentials.Expires.UTC().Format(time.RFC3339)
}

func getAtOnce(ctx context.Context, cfg aws.Config, callers int) string {
	answers := make([]string, callers)
	var asking sync.WaitGroup
	for caller := range answers {
		asking.Add(1)
		go func(caller int) {
			defer asking.Done()
			answers[caller] = get(ctx, cfg)
		}(caller)
	}
	asking.Wait()
	return strings.Join(answers, "\n")
}

func metadata(ctx context.Context, client *imds.Client, path string) string {
	output, err := client.GetMetadata(ctx, &imds.GetMetadataInput{Path: path})
	if err != nil {
		return failed(err)
	}
	defer output.Content.Close()
	value, err := io.ReadAll(output.Content)
	if err != nil {
		return failed(err)
	}
	return "value " + strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(string(value))
}

func main() {
	ctx := context.Background()
	// This sends no request.
	cfg, configured := config.LoadDefaultConfig(ctx, config.WithRegion("us-east-1"))
	var client *imds.Client
	if configured == nil {
		client = imds.NewFromConfig(cfg)
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
			fmt.Println(getAtOnce(ctx, cfg, callers))
		case question == "metadata":
			fmt.Println(metadata(ctx, client, argument))
		default:
			fmt.Println("error unsupported " + question)
		}
	}
}
