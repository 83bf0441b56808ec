// Printed by tests/clients/npm/schema.mjs from the schemas of the emulator.

/**
 * Something to do to a running emulator.
 */
export type Action =
  | {
      change: {
        [k: string]: unknown;
      };
    }
  | {
      fault: Rule;
    }
  | {
      heal: string;
    }
  | "heal_all"
  | {
      preset: Preset;
    }
  | {
      remove_preset: Preset;
    }
  | "rotate_credentials"
  | "revoke_tokens"
  | {
      scenario: ToState;
    };
/**
 * An address family. IP has no third family, so programs can match both.
 */
export type Family = "ipv4" | "ipv6";
/**
 * a length of time: numbers with units, like 6h 20m, 90s or 500ms
 */
export type Span = string;
/**
 * How a random delay is distributed.
 */
export type Distribution =
  | {
      /**
       * a length of time: numbers with units, like 6h 20m, 90s or 500ms
       */
      lower: string;
      type: "uniform";
      /**
       * a length of time: numbers with units, like 6h 20m, 90s or 500ms
       */
      upper: string;
    }
  | {
      /**
       * a length of time: numbers with units, like 6h 20m, 90s or 500ms
       */
      median: string;
      /**
       * The standard deviation of the logarithm.
       */
      sigma: number;
      type: "lognormal";
    }
  | {
      /**
       * a length of time: numbers with units, like 6h 20m, 90s or 500ms
       */
      deviation: string;
      /**
       * a length of time: numbers with units, like 6h 20m, 90s or 500ms
       */
      mean: string;
      type: "normal";
    }
  | {
      /**
       * a length of time: numbers with units, like 6h 20m, 90s or 500ms
       */
      scale: string;
      /**
       * The larger the shape, the fewer delays are long.
       */
      shape: number;
      type: "pareto";
    };
/**
 * The version of IMDS that a client uses.
 */
export type ImdsVersion = "v1" | "v2";
/**
 * The state of a request's token.
 */
export type TokenState = "none" | "valid" | "expired" | "invalid";
/**
 * A common failure, by name.
 */
export type Preset =
  | "imds-outage"
  | "imds-brownout"
  | "imdsv2-only"
  | "imdsv1-only"
  | "container-hop-limit"
  | "token-forbidden"
  | "throttled"
  | "expired-credentials"
  | "rotating-fast"
  | "role-detached"
  | "spot-interruption";
/**
 * The architecture of a processor.
 */
export type Architecture = "x86_64" | "arm64" | "i386";
/**
 * An assertion. In JSON: `"no_imdsv1"`, `{"max_token_puts": 1}`, `{"max_requests": {"max": 10,
 * "within": "1s"}}`, `{"order": ["PUT /latest/api/token", "GET **"]}`.
 */
export type Assertion =
  | "no_imdsv1"
  | "no_forwarded"
  | {
      max_token_puts: number;
    }
  | {
      max_requests: MaxRequests;
    }
  | {
      min_requests: MinRequests;
    }
  | {
      requests: Requests;
    }
  | {
      order: string[];
    }
  | {
      backs_off_after: BacksOff;
    }
  | {
      user_agent: UserAgent;
    }
  | {
      max_packets_per_second: number;
    };
/**
 * The outcome of a request.
 */
export type Outcome = "answered" | "spoiled" | "reset" | "no-response" | "abandoned";
/**
 * A way to damage a field of a document.
 */
export type Broken = "missing" | "empty" | "null" | "wrong_type" | "bad_date";
/**
 * a date and time (RFC 3339), or + and a length of time after the start, like +2m
 */
export type Moment = string;
/**
 * Bytes, written as a text, as base64, or as the path of a file.
 */
export type Content =
  | string
  | {
      /**
       * The bytes, in the standard alphabet with padding.
       */
      base64: string;
    }
  | {
      /**
       * The path of the file.
       */
      file: string;
    }
  | {
      /**
       * Must be `true`.
       */
      absent: boolean;
    };
/**
 * What happens to a request that is refused.
 */
export type Effect = "no-response" | "reset" | number;
/**
 */
export type End = string | false;
/**
 * What goes wrong.
 */
export type Fault =
  | {
      /**
       * Address family: `ipv4` or `ipv6`. Default: both.
       */
      family?: Family | null;
      type: "down";
    }
  | {
      /**
       * Address family: `ipv4` or `ipv6`. Default: both.
       */
      family?: Family | null;
      type: "prohibited";
    }
  | {
      /**
       * `accept` (once the connection is accepted, before a request is read; the rule can match by
       * `client` and `process` only), `request` (once the request is read) or `{ bytes = NUM }` (once
       * NUM bytes of the body are sent). Default: `request`.
       */
      after?:
        | "accept"
        | "request"
        | {
            /**
             * Number of bytes.
             */
            bytes: number;
          };
      type: "reset_peer";
    }
  | {
      type: "blackhole";
    }
  | {
      type: "empty_response";
    }
  | {
      /**
       * Time after which the connection is reset. Default: never.
       */
      "reset-after"?: Span | null;
      type: "hop_limit";
    }
  | {
      /**
       * a length of time: numbers with units, like 6h 20m, 90s or 500ms
       */
      delay: string;
      type: "slow_close";
    }
  | {
      /**
       * Fraction of the packets of each direction, more than 0, at most 1.
       */
      fraction: number;
      type: "packet_loss";
    }
  | {
      /**
       * a length of time: numbers with units, like 6h 20m, 90s or 500ms
       */
      delay: string;
      /**
       * a length of time: numbers with units, like 6h 20m, 90s or 500ms
       */
      jitter?: string;
      type: "packet_delay";
    }
  | {
      /**
       * Total rate for both directions, in bytes per second, headers included: 1000 to 1000000000.
       */
      rate: number;
      type: "bandwidth";
    }
  | {
      /**
       * Distribution of a random delay in addition: `{ type = "uniform", lower, upper }`, `{ type =
       * "lognormal", median, sigma }`, `{ type = "normal", mean, deviation }` or `{ type = "pareto",
       * scale, shape }`. Default: none.
       */
      distribution?: Distribution | null;
      /**
       * a length of time: numbers with units, like 6h 20m, 90s or 500ms
       */
      jitter?: string;
      /**
       * a length of time: numbers with units, like 6h 20m, 90s or 500ms
       */
      latency?: string;
      type: "latency";
    }
  | {
      /**
       * a length of time: numbers with units, like 6h 20m, 90s or 500ms
       */
      delay: string;
      type: "slow_headers";
    }
  | {
      /**
       * Number of chunks, 1 or more.
       */
      chunks: number;
      /**
       * a length of time: numbers with units, like 6h 20m, 90s or 500ms
       */
      total: string;
      type: "slow_body";
    }
  | {
      /**
       * a length of time: numbers with units, like 6h 20m, 90s or 500ms
       */
      delay: string;
      /**
       * Average size of a slice in bytes, 1 or more.
       */
      size: number;
      type: "slicer";
      /**
       * Maximum number of bytes by which a slice is larger or smaller at random; less than `size`.
       * Default: `0`.
       */
      variation?: number;
    }
  | {
      /**
       * Number of bytes of the body that are sent. Default: `0`.
       */
      after?: number;
      type: "stall";
    }
  | {
      /**
       * `aws` (the error page of IMDS), `empty` or `{ text = "…" }`. Default: `aws`.
       */
      body?:
        | "aws"
        | "empty"
        | {
            /**
             * The text.
             */
            text: string;
          };
      /**
       * Status code, 200 to 999.
       */
      code: number;
      /**
       * Time in a `Retry-After` header, in whole seconds. Default: no such header.
       */
      "retry-after"?: Span | null;
      type: "status";
    }
  | {
      /**
       * The new body. Default: that of the response.
       */
      body?: string | null;
      /**
       * Status code, 200 to 999. Default: that of the response.
       */
      code?: number | null;
      /**
       * Headers that are added or replaced. Default: none.
       */
      headers?: {
        [k: string]: string;
      };
      type: "replace";
    }
  | {
      /**
       * Status code, 300 to 399. Default: `301`.
       */
      code?: number;
      /**
       * URL, for the `Location` header.
       */
      to: string;
      type: "redirect";
    }
  | {
      /**
       * Name of the header.
       */
      name: string;
      type: "drop_header";
    }
  | {
      /**
       * The content type.
       */
      to: string;
      type: "wrong_content_type";
    }
  | {
      /**
       * Value of the header. Default: `nginx`.
       */
      to?: string;
      type: "wrong_server";
    }
  | {
      /**
       * Number of bytes of the body that are sent. Cannot be combined with `fraction`. Default:
       * none.
       */
      bytes?: number | null;
      /**
       * Whether `Content-Length` is the length of the part that is sent (`true`) or of the whole body
       * (`false`). Default: `false`.
       */
      "fix-content-length"?: boolean;
      /**
       * Share of the body that is sent, 0 to 1. Default: `0.5`, unless `bytes` is given.
       */
      fraction?: number | null;
      type: "truncate_body";
    }
  | {
      /**
       * Number of spaces, at most 16 MiB.
       */
      bytes: number;
      type: "long_body";
    }
  | {
      /**
       * Number of bytes that are added to the length; can be negative.
       */
      delta: number;
      type: "wrong_content_length";
    }
  | {
      type: "malformed_chunk";
    }
  | {
      /**
       * Number of bytes, at most 16 MiB. Default: `64`.
       */
      bytes?: number;
      type: "random_data_then_close";
    }
  | {
      /**
       * `cut` (it ends in the middle), `trailing_comma` (a comma before the last brace), `html` (a
       * page of HTML in its place) or `empty_object` (`{}` in its place). Default: `cut`.
       */
      how?: "cut" | "trailing_comma" | "html" | "empty_object";
      type: "malformed_json";
    }
  | {
      /**
       * The merge patch.
       */
      json: {
        [k: string]: unknown;
      };
      type: "patch";
    }
  | {
      /**
       * Requests that are answered at once after a pause, 1 or more. Default: as many as `rate`.
       */
      burst?: number | null;
      /**
       * What happens to requests above the rate: `no-response`, `reset` (of the
       * connection) or a status code, 200 to 999. Default: `no-response`.
       */
      effect?: "no-response" | "reset" | number;
      /**
       * Requests per second that are answered, 1 or more. Default: `1024`.
       */
      rate?: number;
      type: "throttle";
    }
  | {
      /**
       * What happens to requests on further connections: `no-response`, `reset` (of the
       * connection) or a status code, 200 to 999. Default: `no-response`.
       */
      effect?: "no-response" | "reset" | number;
      /**
       * Connections that are served.
       */
      max: number;
      type: "connection_limit";
    }
  | {
      /**
       * What happens to further requests in the window: `no-response`, `reset` (of the
       * connection) or a status code, 200 to 999. Default: `429`.
       */
      effect?: "no-response" | "reset" | number;
      /**
       * Requests that are answered per window.
       */
      limit: number;
      type: "quota";
      /**
       * a length of time: numbers with units, like 6h 20m, 90s or 500ms
       */
      window: string;
    }
  | {
      /**
       * What happens to requests for a token: `no-response`, `reset` (of the connection)
       * or a status code, 200 to 999. Default: `404`.
       */
      effect?: "no-response" | "reset" | number;
      type: "token_unavailable";
    }
  | {
      type: "v1_disabled";
    }
  | {
      type: "v1_enabled";
    }
  | {
      /**
       * a length of time: numbers with units, like 6h 20m, 90s or 500ms
       */
      after: string;
      type: "token_expire_early";
    }
  | {
      type: "token_revoke_all";
    }
  | {
      type: "token_flap";
    }
  | {
      /**
       * Longest TTL in seconds, 1 to 21600.
       */
      seconds: number;
      type: "ttl_cap";
    }
  | {
      type: "endpoint_disabled";
    }
  | {
      type: "expect_refused";
    }
  | {
      type: "expect_ignored";
    }
  | {
      /**
       * Glob of the paths below the version, like `meta-data/iam/**`. `*` matches within one
       * segment, `**` across segments.
       */
      path: string;
      type: "category_missing";
    }
  | {
      /**
       * Glob of the paths below the version, like `meta-data/ami-id`. `*` matches within one
       * segment, `**` across segments.
       */
      path: string;
      type: "listing_inconsistent";
    }
  | {
      /**
       * a length of time: numbers with units, like 6h 20m, 90s or 500ms
       */
      age: string;
      type: "stale_view";
    }
  | {
      /**
       * Shift: `5m` forward, `-5m` back.
       */
      by: string;
      type: "clock_skew";
    }
  | {
      type: "role_missing";
    }
  | {
      type: "role_empty";
    }
  | {
      /**
       * Name of the new role, 1 to 64 letters, digits and `_+=,.@-`.
       */
      to: string;
      type: "role_changed";
    }
  | {
      /**
       * `Code` of the document; any but `Success`. Default: `AssumeRoleUnauthorizedAccess`.
       */
      code?: string;
      /**
       * `Message` of the document. Default: a message that names the role.
       */
      message?: string | null;
      type: "credentials_error";
    }
  | {
      /**
       * a length of time: numbers with units, like 6h 20m, 90s or 500ms
       */
      by?: string;
      type: "credentials_expired";
    }
  | {
      type: "credentials_stuck";
    }
  | {
      /**
       * a length of time: numbers with units, like 6h 20m, 90s or 500ms
       */
      lifetime: string;
      type: "credentials_short_lived";
    }
  | {
      /**
       * a length of time: numbers with units, like 6h 20m, 90s or 500ms
       */
      "before-expiry"?: string;
      type: "credentials_late_rotation";
    }
  | {
      /**
       * `missing` (omitted), `empty` (an empty text), `null`, `wrong_type` (a number) or `bad_date`
       * (a text that is not a date). Default: `missing`.
       */
      how?: "missing" | "empty" | "null" | "wrong_type" | "bad_date";
      /**
       * Name of the field: `AccessKeyId`, `SecretAccessKey`, `Token`, `Expiration` …
       */
      name: string;
      type: "credentials_field";
    }
  | {
      type: "extended_unavailable";
    };
/**
 * Whether a token is required.
 */
export type HttpTokens = "optional" | "required";
/**
 * The value of `autoscaling/target-lifecycle-state`.
 */
export type TargetLifecycleState =
  | "Detached"
  | "InService"
  | "Standby"
  | "Terminated"
  | "Warmed:Hibernated"
  | "Warmed:Running"
  | "Warmed:Stopped"
  | "Warmed:Terminated";
/**
 * The value of `instance-action`.
 */
export type InstanceAction = "none" | "shutdown" | "bundle-pending";
/**
 * The purchasing option of an instance.
 */
export type LifeCycle = "on-demand" | "spot" | "scheduled" | "capacity-block";
/**
 * The kind of maintenance.
 */
export type MaintenanceCode =
  "instance-reboot" | "system-reboot" | "system-maintenance" | "instance-retirement" | "instance-stop";
/**
 * The state of maintenance.
 */
export type MaintenanceState = "active" | "completed" | "canceled";
/**
 * How a JSON document is damaged.
 */
export type Malformed = "cut" | "trailing_comma" | "html" | "empty_object";
/**
 * The requests after which a step is taken. They are counted from the start of the timeline, when
 * they have been answered.
 */
export type On =
  | {
      token: number;
    }
  | {
      credentials: number;
    }
  | {
      request: OnRequest;
    };
/**
 * The schema of [`or_false`].
 */
export type OrFalse = Iam | boolean;
/**
 * The schema of [`or_false`].
 */
export type OrFalse2 = string | boolean;
/**
 * When a connection is reset.
 */
export type ResetAfter =
  | "accept"
  | "request"
  | {
      /**
       * Number of bytes.
       */
      bytes: number;
    };
/**
 * a length of time, with - in front for back in time
 */
export type Shift = string;
/**
 * What happens to an interrupted spot instance.
 */
export type SpotAction = "stop" | "terminate" | "hibernate";
/**
 * The body of an error.
 */
export type StatusBody =
  | "aws"
  | "empty"
  | {
      /**
       * The text.
       */
      text: string;
    };
/**
 * The state of a step.
 */
export type StepState =
  | "pending"
  | {
      done: string;
    }
  | {
      failed: string;
    };
/**
 * On or off, in AWS's words. There is no third state, so programs can match both.
 */
export type Switch = "enabled" | "disabled";
/**
 * The word `true`.
 */
export type True = boolean;
/**
 * One of the two formats that IMDS answers in.
 */
export type Dialect = "nitro" | "xen";
/**
 * A text that keys and tokens are derived from. `Debug` hides it.
 */
export type Seed = string;

/**
 * What goes wrong, for which requests, and when.
 */
export interface Rule {
  /**
   * What goes wrong.
   */
  fault:
    | {
        /**
         * Address family: `ipv4` or `ipv6`. Default: both.
         */
        family?: Family | null;
        type: "down";
      }
    | {
        /**
         * Address family: `ipv4` or `ipv6`. Default: both.
         */
        family?: Family | null;
        type: "prohibited";
      }
    | {
        /**
         * `accept` (once the connection is accepted, before a request is read; the rule can match by
         * `client` and `process` only), `request` (once the request is read) or `{ bytes = NUM }` (once
         * NUM bytes of the body are sent). Default: `request`.
         */
        after?:
          | "accept"
          | "request"
          | {
              /**
               * Number of bytes.
               */
              bytes: number;
            };
        type: "reset_peer";
      }
    | {
        type: "blackhole";
      }
    | {
        type: "empty_response";
      }
    | {
        /**
         * Time after which the connection is reset. Default: never.
         */
        "reset-after"?: Span | null;
        type: "hop_limit";
      }
    | {
        /**
         * a length of time: numbers with units, like 6h 20m, 90s or 500ms
         */
        delay: string;
        type: "slow_close";
      }
    | {
        /**
         * Fraction of the packets of each direction, more than 0, at most 1.
         */
        fraction: number;
        type: "packet_loss";
      }
    | {
        /**
         * a length of time: numbers with units, like 6h 20m, 90s or 500ms
         */
        delay: string;
        /**
         * a length of time: numbers with units, like 6h 20m, 90s or 500ms
         */
        jitter?: string;
        type: "packet_delay";
      }
    | {
        /**
         * Total rate for both directions, in bytes per second, headers included: 1000 to 1000000000.
         */
        rate: number;
        type: "bandwidth";
      }
    | {
        /**
         * Distribution of a random delay in addition: `{ type = "uniform", lower, upper }`, `{ type =
         * "lognormal", median, sigma }`, `{ type = "normal", mean, deviation }` or `{ type = "pareto",
         * scale, shape }`. Default: none.
         */
        distribution?: Distribution | null;
        /**
         * a length of time: numbers with units, like 6h 20m, 90s or 500ms
         */
        jitter?: string;
        /**
         * a length of time: numbers with units, like 6h 20m, 90s or 500ms
         */
        latency?: string;
        type: "latency";
      }
    | {
        /**
         * a length of time: numbers with units, like 6h 20m, 90s or 500ms
         */
        delay: string;
        type: "slow_headers";
      }
    | {
        /**
         * Number of chunks, 1 or more.
         */
        chunks: number;
        /**
         * a length of time: numbers with units, like 6h 20m, 90s or 500ms
         */
        total: string;
        type: "slow_body";
      }
    | {
        /**
         * a length of time: numbers with units, like 6h 20m, 90s or 500ms
         */
        delay: string;
        /**
         * Average size of a slice in bytes, 1 or more.
         */
        size: number;
        type: "slicer";
        /**
         * Maximum number of bytes by which a slice is larger or smaller at random; less than `size`.
         * Default: `0`.
         */
        variation?: number;
      }
    | {
        /**
         * Number of bytes of the body that are sent. Default: `0`.
         */
        after?: number;
        type: "stall";
      }
    | {
        /**
         * `aws` (the error page of IMDS), `empty` or `{ text = "…" }`. Default: `aws`.
         */
        body?:
          | "aws"
          | "empty"
          | {
              /**
               * The text.
               */
              text: string;
            };
        /**
         * Status code, 200 to 999.
         */
        code: number;
        /**
         * Time in a `Retry-After` header, in whole seconds. Default: no such header.
         */
        "retry-after"?: Span | null;
        type: "status";
      }
    | {
        /**
         * The new body. Default: that of the response.
         */
        body?: string | null;
        /**
         * Status code, 200 to 999. Default: that of the response.
         */
        code?: number | null;
        /**
         * Headers that are added or replaced. Default: none.
         */
        headers?: {
          [k: string]: string;
        };
        type: "replace";
      }
    | {
        /**
         * Status code, 300 to 399. Default: `301`.
         */
        code?: number;
        /**
         * URL, for the `Location` header.
         */
        to: string;
        type: "redirect";
      }
    | {
        /**
         * Name of the header.
         */
        name: string;
        type: "drop_header";
      }
    | {
        /**
         * The content type.
         */
        to: string;
        type: "wrong_content_type";
      }
    | {
        /**
         * Value of the header. Default: `nginx`.
         */
        to?: string;
        type: "wrong_server";
      }
    | {
        /**
         * Number of bytes of the body that are sent. Cannot be combined with `fraction`. Default:
         * none.
         */
        bytes?: number | null;
        /**
         * Whether `Content-Length` is the length of the part that is sent (`true`) or of the whole body
         * (`false`). Default: `false`.
         */
        "fix-content-length"?: boolean;
        /**
         * Share of the body that is sent, 0 to 1. Default: `0.5`, unless `bytes` is given.
         */
        fraction?: number | null;
        type: "truncate_body";
      }
    | {
        /**
         * Number of spaces, at most 16 MiB.
         */
        bytes: number;
        type: "long_body";
      }
    | {
        /**
         * Number of bytes that are added to the length; can be negative.
         */
        delta: number;
        type: "wrong_content_length";
      }
    | {
        type: "malformed_chunk";
      }
    | {
        /**
         * Number of bytes, at most 16 MiB. Default: `64`.
         */
        bytes?: number;
        type: "random_data_then_close";
      }
    | {
        /**
         * `cut` (it ends in the middle), `trailing_comma` (a comma before the last brace), `html` (a
         * page of HTML in its place) or `empty_object` (`{}` in its place). Default: `cut`.
         */
        how?: "cut" | "trailing_comma" | "html" | "empty_object";
        type: "malformed_json";
      }
    | {
        /**
         * The merge patch.
         */
        json: {
          [k: string]: unknown;
        };
        type: "patch";
      }
    | {
        /**
         * Requests that are answered at once after a pause, 1 or more. Default: as many as `rate`.
         */
        burst?: number | null;
        /**
         * What happens to requests above the rate: `no-response`, `reset` (of the
         * connection) or a status code, 200 to 999. Default: `no-response`.
         */
        effect?: "no-response" | "reset" | number;
        /**
         * Requests per second that are answered, 1 or more. Default: `1024`.
         */
        rate?: number;
        type: "throttle";
      }
    | {
        /**
         * What happens to requests on further connections: `no-response`, `reset` (of the
         * connection) or a status code, 200 to 999. Default: `no-response`.
         */
        effect?: "no-response" | "reset" | number;
        /**
         * Connections that are served.
         */
        max: number;
        type: "connection_limit";
      }
    | {
        /**
         * What happens to further requests in the window: `no-response`, `reset` (of the
         * connection) or a status code, 200 to 999. Default: `429`.
         */
        effect?: "no-response" | "reset" | number;
        /**
         * Requests that are answered per window.
         */
        limit: number;
        type: "quota";
        /**
         * a length of time: numbers with units, like 6h 20m, 90s or 500ms
         */
        window: string;
      }
    | {
        /**
         * What happens to requests for a token: `no-response`, `reset` (of the connection)
         * or a status code, 200 to 999. Default: `404`.
         */
        effect?: "no-response" | "reset" | number;
        type: "token_unavailable";
      }
    | {
        type: "v1_disabled";
      }
    | {
        type: "v1_enabled";
      }
    | {
        /**
         * a length of time: numbers with units, like 6h 20m, 90s or 500ms
         */
        after: string;
        type: "token_expire_early";
      }
    | {
        type: "token_revoke_all";
      }
    | {
        type: "token_flap";
      }
    | {
        /**
         * Longest TTL in seconds, 1 to 21600.
         */
        seconds: number;
        type: "ttl_cap";
      }
    | {
        type: "endpoint_disabled";
      }
    | {
        type: "expect_refused";
      }
    | {
        type: "expect_ignored";
      }
    | {
        /**
         * Glob of the paths below the version, like `meta-data/iam/**`. `*` matches within one
         * segment, `**` across segments.
         */
        path: string;
        type: "category_missing";
      }
    | {
        /**
         * Glob of the paths below the version, like `meta-data/ami-id`. `*` matches within one
         * segment, `**` across segments.
         */
        path: string;
        type: "listing_inconsistent";
      }
    | {
        /**
         * a length of time: numbers with units, like 6h 20m, 90s or 500ms
         */
        age: string;
        type: "stale_view";
      }
    | {
        /**
         * Shift: `5m` forward, `-5m` back.
         */
        by: string;
        type: "clock_skew";
      }
    | {
        type: "role_missing";
      }
    | {
        type: "role_empty";
      }
    | {
        /**
         * Name of the new role, 1 to 64 letters, digits and `_+=,.@-`.
         */
        to: string;
        type: "role_changed";
      }
    | {
        /**
         * `Code` of the document; any but `Success`. Default: `AssumeRoleUnauthorizedAccess`.
         */
        code?: string;
        /**
         * `Message` of the document. Default: a message that names the role.
         */
        message?: string | null;
        type: "credentials_error";
      }
    | {
        /**
         * a length of time: numbers with units, like 6h 20m, 90s or 500ms
         */
        by?: string;
        type: "credentials_expired";
      }
    | {
        type: "credentials_stuck";
      }
    | {
        /**
         * a length of time: numbers with units, like 6h 20m, 90s or 500ms
         */
        lifetime: string;
        type: "credentials_short_lived";
      }
    | {
        /**
         * a length of time: numbers with units, like 6h 20m, 90s or 500ms
         */
        "before-expiry"?: string;
        type: "credentials_late_rotation";
      }
    | {
        /**
         * `missing` (omitted), `empty` (an empty text), `null`, `wrong_type` (a number) or `bad_date`
         * (a text that is not a date). Default: `missing`.
         */
        how?: "missing" | "empty" | "null" | "wrong_type" | "bad_date";
        /**
         * Name of the field: `AccessKeyId`, `SecretAccessKey`, `Token`, `Expiration` …
         */
        name: string;
        type: "credentials_field";
      }
    | {
        type: "extended_unavailable";
      };
  match?: Match;
  /**
   * Name of the rule: in the journal, and to remove the rule. Each rule has its own name.
   */
  name: string;
  /**
   * Rules with a higher priority are checked first. Default: 0.
   */
  priority?: number;
  when?: When;
}
/**
 * The requests that the rule is for. Default: all.
 */
export interface Match {
  /**
   * The client's address or network.
   */
  client?: string | null;
  /**
   * Headers, each with a glob of its value.
   */
  headers?: {
    [k: string]: string;
  };
  /**
   * The version of IMDS that the client uses.
   */
  imds?: ImdsVersion | null;
  /**
   * The method, like `GET`.
   */
  method?: string | null;
  /**
   * Glob of the whole path: `*` matches within one segment, `**` across segments. Repeated
   * slashes count as one, and percent escapes are decoded. A glob of a folder, like `** /security-credentials/`, also matches its
   * path without the final slash.
   */
  path?: string | null;
  /**
   * Glob of the name of the process that sent the request. Supported on Linux only.
   */
  process?: string | null;
  /**
   * Numbers of requests, counted from 1 since the emulator was started or reset.
   */
  request?: Numbers | null;
  /**
   * The state of the request's token.
   */
  token?: TokenState | null;
  /**
   * Glob of the `User-Agent`, like `Boto3/*`.
   */
  "user-agent"?: string | null;
  /**
   * The first segment of the path: `latest` or a version.
   */
  version?: string | null;
}
/**
 * A range of numbers.
 */
export interface Numbers {
  /**
   * The first number. Default: 0.
   */
  from?: number;
  /**
   * The last number. Default: no limit.
   */
  to?: number | null;
}
/**
 * When the rule applies. Default: always.
 */
export interface When {
  /**
   * Time from when the rule was added until it applies, on the emulator's clock. Default: `0s`.
   */
  after?: Span | null;
  /**
   * Number of requests after which the rule stops. Default: no limit.
   */
  count?: number | null;
  /**
   * Time for which the rule applies from then on, on the emulator's clock. Default: no limit.
   */
  duration?: Span | null;
  /**
   * Share of the matching requests, 0 to 1. The seed determines which ones. Default: 1.
   */
  probability?: number | null;
  /**
   * The state that a scenario must be in. Default: any.
   */
  scenario?: InScenario | null;
  /**
   * Seed for `probability` and for random parameters of the fault. Default: derived from the
   * emulator's seed and the rule's name.
   */
  seed?: number | null;
  /**
   * Number of matching requests that are skipped first. Default: 0.
   */
  "skip-first"?: number;
  /**
   * Real time after which the rule is removed, whatever the emulator's clock shows: a safety net
   * for rules that a test fails to remove. Default: no limit.
   */
  ttl?: Span | null;
}
/**
 * The state that a scenario must be in. Scenarios begin in the state `Started`.
 */
export interface InScenario {
  /**
   * The name of the scenario.
   */
  name: string;
  /**
   * The state that the scenario must be in. Default: `Started`.
   */
  state?: string;
  /**
   * The state that the scenario enters when the rule applies. Default: the same state.
   */
  then?: string | null;
}
/**
 * A scenario, and the state to set it to.
 */
export interface ToState {
  /**
   * The name of the scenario.
   */
  name: string;
  /**
   * The state.
   */
  state: string;
}
/**
 * A move of the clock.
 */
export interface Advance {
  /**
   * How far to move the clock: forward, such as `6h`, or back, such as `-5m`.
   */
  by: string;
}
/**
 * A rule, and to how many requests it has applied.
 */
export interface Applied {
  /**
   * The number of requests that the rule has applied to.
   */
  applied: number;
  /**
   * Why the rule is not in effect in a network of the emulator.
   */
  problem?: string | null;
  rule: Rule;
}
/**
 * A maximum number of requests.
 */
export interface MaxRequests {
  /**
   * The maximum.
   */
  max: number;
  of?: Filter;
  /**
   * Length of the time window that the maximum is for, on the emulator's clock. Default:
   * unlimited.
   */
  within?: Span | null;
}
/**
 * The requests to count. Default: all.
 */
export interface Filter {
  /**
   * The client's address or network.
   */
  client?: string | null;
  /**
   * The version of IMDS that the client used.
   */
  imds?: ImdsVersion | null;
  /**
   * Only this number of the newest exchanges.
   */
  limit?: number | null;
  /**
   * The method.
   */
  method?: string | null;
  /**
   * The outcome.
   */
  outcome?: Outcome | null;
  /**
   * Glob of the path.
   */
  path?: string | null;
  /**
   * Glob of the name of the process. It needs `journal.process`.
   */
  process?: string | null;
  /**
   * The name of a rule that applied.
   */
  rule?: string | null;
  /**
   * Only exchanges with a higher number.
   */
  since?: number | null;
  /**
   * The status of the response.
   */
  status?: number | null;
  /**
   * The state of the request's token.
   */
  token?: TokenState | null;
  /**
   * Glob of the `User-Agent`.
   */
  "user-agent"?: string | null;
}
/**
 * A minimum number of requests.
 */
export interface MinRequests {
  /**
   * The minimum.
   */
  min: number;
  of?: Filter1;
}
/**
 * The requests to count. Default: all.
 */
export interface Filter1 {
  /**
   * The client's address or network.
   */
  client?: string | null;
  /**
   * The version of IMDS that the client used.
   */
  imds?: ImdsVersion | null;
  /**
   * Only this number of the newest exchanges.
   */
  limit?: number | null;
  /**
   * The method.
   */
  method?: string | null;
  /**
   * The outcome.
   */
  outcome?: Outcome | null;
  /**
   * Glob of the path.
   */
  path?: string | null;
  /**
   * Glob of the name of the process. It needs `journal.process`.
   */
  process?: string | null;
  /**
   * The name of a rule that applied.
   */
  rule?: string | null;
  /**
   * Only exchanges with a higher number.
   */
  since?: number | null;
  /**
   * The status of the response.
   */
  status?: number | null;
  /**
   * The state of the request's token.
   */
  token?: TokenState | null;
  /**
   * Glob of the `User-Agent`.
   */
  "user-agent"?: string | null;
}
/**
 * An exact number of requests.
 */
export interface Requests {
  /**
   * The number.
   */
  number: number;
  of?: Filter2;
}
/**
 * The requests to count. Default: all.
 */
export interface Filter2 {
  /**
   * The client's address or network.
   */
  client?: string | null;
  /**
   * The version of IMDS that the client used.
   */
  imds?: ImdsVersion | null;
  /**
   * Only this number of the newest exchanges.
   */
  limit?: number | null;
  /**
   * The method.
   */
  method?: string | null;
  /**
   * The outcome.
   */
  outcome?: Outcome | null;
  /**
   * Glob of the path.
   */
  path?: string | null;
  /**
   * Glob of the name of the process. It needs `journal.process`.
   */
  process?: string | null;
  /**
   * The name of a rule that applied.
   */
  rule?: string | null;
  /**
   * Only exchanges with a higher number.
   */
  since?: number | null;
  /**
   * The status of the response.
   */
  status?: number | null;
  /**
   * The state of the request's token.
   */
  token?: TokenState | null;
  /**
   * Glob of the `User-Agent`.
   */
  "user-agent"?: string | null;
}
/**
 * A back-off after a failure.
 */
export interface BacksOff {
  /**
   * a length of time: numbers with units, like 6h 20m, 90s or 500ms
   */
  "at-least"?: string;
  /**
   * The status of the response.
   */
  status: number;
}
/**
 * A pattern of the `User-Agent`.
 */
export interface UserAgent {
  /**
   * Glob of the `User-Agent`, like `Boto3/*`.
   */
  matches: string;
}
/**
 * The block devices of an instance, as in `block-device-mapping/`.
 */
export interface BlockDevices {
  /**
   * The device of the image.
   */
  ami?: string;
  /**
   * EBS volumes: `ebs1`, `ebs2` …
   */
  ebs?: string[];
  /**
   * Instance store volumes: `ephemeral0`, `ephemeral1` …
   */
  ephemeral?: string[];
  /**
   * The root device.
   */
  root?: string;
  /**
   * The swap device.
   */
  swap?: string | null;
}
/**
 * A change of the clock.
 */
export interface ClockChange {
  /**
   * Set the clock to this moment.
   */
  now?: Moment | null;
  /**
   * Let the clock run, or freeze it.
   */
  running?: boolean | null;
}
/**
 * The state of the clock.
 */
export interface ClockState {
  /**
   * The present moment.
   */
  now: string;
  /**
   * Whether the clock runs, or is frozen.
   */
  running: boolean;
}
/**
 * The packets that a client has sent on one connection.
 */
export interface ConnectionPackets {
  /**
   * The number of the connection, as in its exchanges.
   */
  connection: number;
  /**
   * The process that opened the connection, as in its exchanges.
   */
  process?: Process | null;
  /**
   * The number of packets.
   */
  sent: number;
}
/**
 * A process that sends requests.
 */
export interface Process {
  /**
   * The name, as in `/proc/PID/comm`: that of the program, or of a script that was started by its
   * own name.
   */
  name: string;
  /**
   * The parent. An isolated command itself has none.
   */
  parent?: Parent | null;
  /**
   * The process ID, as the emulator sees it. The processes of an isolated command see other IDs.
   */
  pid: number;
}
/**
 * The parent of a process that sends requests.
 */
export interface Parent {
  /**
   * The name.
   */
  name: string;
  /**
   * The process ID.
   */
  pid: number;
}
/**
 * A number of exchanges.
 */
export interface Count {
  count: number;
}
/**
 * The events that are announced to an instance.
 */
export interface Events {
  /**
   * Maintenance that is scheduled, completed or cancelled.
   */
  maintenance?: Maintenance[];
  /**
   * Recommendation to rebalance, because an interruption has become more likely.
   */
  "rebalance-recommendation"?: RebalanceRecommendation | null;
  /**
   * Interruption of a spot instance.
   */
  "spot-interruption"?: SpotInterruption | null;
}
/**
 * A maintenance event.
 */
export interface Maintenance {
  /**
   * a date and time (RFC 3339), or + and a length of time after the start, like +2m
   */
  announced?: string;
  /**
   * The kind of maintenance.
   */
  code: "instance-reboot" | "system-reboot" | "system-maintenance" | "instance-retirement" | "instance-stop";
  /**
   * Description. Default: AWS's description of the code.
   */
  description?: string | null;
  /**
   * ID: `instance-event-` and 17 hexadecimal digits. Default: derived from the index in the
   * list.
   */
  "event-id"?: string | null;
  /**
   * Latest end. `false` for an event without an end, `""` for an empty one. Default: none for
   * `instance-stop` and `instance-retirement`, and two hours after the earliest start for other
   * events.
   */
  "not-after"?: End | null;
  /**
   * Earliest start. Default: seven days after it is announced.
   */
  "not-before"?: Moment | null;
  /**
   * State. `scheduled` lists events that are `active`, `history` all others. Default: `active`.
   */
  state?: "active" | "completed" | "canceled";
}
/**
 * A recommendation to rebalance.
 */
export interface RebalanceRecommendation {
  /**
   * a date and time (RFC 3339), or + and a length of time after the start, like +2m
   */
  announced?: string;
}
/**
 * The interruption of a spot instance.
 */
export interface SpotInterruption {
  /**
   * What happens to the instance.
   */
  action: "stop" | "terminate" | "hibernate";
  /**
   * a date and time (RFC 3339), or + and a length of time after the start, like +2m
   */
  announced?: string;
  /**
   * When it happens. Default: two minutes after it is announced; for `hibernate`, at the same
   * time.
   */
  time?: Moment | null;
}
/**
 * A request and its outcome.
 */
export interface Exchange {
  /**
   * When the request arrived, on the emulator's clock.
   */
  at: string;
  /**
   * The length of the response's body in bytes.
   */
  bytes: number;
  /**
   * The client's address.
   */
  client: string;
  /**
   * The number of the connection that the request came on, counted from 1 since the emulator was
   * started. A request through a router has none.
   */
  connection?: number | null;
  /**
   * Time until the response was sent, in milliseconds of real time.
   */
  "duration-ms": number;
  /**
   * Whether the request had an `X-Forwarded-For`.
   */
  forwarded: boolean;
  /**
   * The version of IMDS that a client uses.
   */
  imds: "v1" | "v2";
  /**
   * The lifetime in seconds that a request for a token asks for, if that is a number.
   */
  lifetime?: number | null;
  /**
   * The method.
   */
  method: string;
  /**
   * The number of the request, counted from 1 since the emulator was started or reset.
   */
  number: number;
  /**
   * The outcome of a request.
   */
  outcome: "answered" | "spoiled" | "reset" | "no-response" | "abandoned";
  /**
   * The path, without a query.
   */
  path: string;
  /**
   * The process that opened the connection, if the journal records processes (`journal.process`) and
   * it was found.
   */
  process?: Process | null;
  /**
   * The names of the rules that applied.
   */
  rules: string[];
  /**
   * The status of the response, if there was one.
   */
  status?: number | null;
  /**
   * The state of a request's token.
   */
  token: "none" | "valid" | "expired" | "invalid";
  /**
   * When the request arrived, in milliseconds of real time since the emulator was started.
   */
  "uptime-ms": number;
  /**
   * The `User-Agent` of the request.
   */
  "user-agent"?: string | null;
}
/**
 * Selects exchanges: those that match everything that is given.
 */
export interface Filter3 {
  /**
   * The client's address or network.
   */
  client?: string | null;
  /**
   * The version of IMDS that the client used.
   */
  imds?: ImdsVersion | null;
  /**
   * Only this number of the newest exchanges.
   */
  limit?: number | null;
  /**
   * The method.
   */
  method?: string | null;
  /**
   * The outcome.
   */
  outcome?: Outcome | null;
  /**
   * Glob of the path.
   */
  path?: string | null;
  /**
   * Glob of the name of the process. It needs `journal.process`.
   */
  process?: string | null;
  /**
   * The name of a rule that applied.
   */
  rule?: string | null;
  /**
   * Only exchanges with a higher number.
   */
  since?: number | null;
  /**
   * The status of the response.
   */
  status?: number | null;
  /**
   * The state of the request's token.
   */
  token?: TokenState | null;
  /**
   * Glob of the `User-Agent`.
   */
  "user-agent"?: string | null;
}
/**
 * The exchanges that a filter selects.
 */
export interface Found {
  /**
   * The number of exchanges that the journal dropped, whatever the filter.
   */
  dropped: number;
  /**
   * The exchanges, oldest first.
   */
  exchanges: Exchange[];
}
/**
 * The emulator's health.
 */
export interface Health {
  status: string;
}
/**
 * The instance profile, its role, and the rotation of the role's credentials.
 */
export interface Iam {
  /**
   * `Code` of the role's document, like `AssumeRoleUnauthorizedAccess`. With any other
   * code than `Success`, the document has a message and no credentials. Default: `Success`.
   */
  code?: string;
  /**
   * Whether `iam/security-credentials-extended/` exists. Default: `false`.
   */
  "extended-path"?: boolean;
  /**
   * `Code` of `iam/info`, like `InstanceProfileNotFound`. Default: `Success`.
   */
  "info-code"?: string;
  /**
   * Name of the instance profile, after its IAM path if it has one, like `team/prod/web`.
   * Default: the name of the role.
   */
  "instance-profile"?: string | null;
  /**
   * ID of the instance profile: `AIPA` and 17 letters and digits.
   */
  "instance-profile-id"?: string;
  /**
   * a length of time: numbers with units, like 6h 20m, 90s or 500ms
   */
  lead?: string;
  /**
   * Time from the rotation to the expiration of the credentials. Default: another one for each
   * rotation, from `6h` to `6h 30m`.
   */
  lifetime?: Span | null;
  /**
   * `Message` of the role's document, for any other `code` than `Success`. Default: a message
   * that names the role.
   */
  message?: string | null;
  /**
   * Name of the role. `false` for an instance profile without a role.
   */
  role?: string | boolean;
  /**
   * a length of time: numbers with units, like 6h 20m, 90s or 500ms
   */
  rotation?: string;
}
/**
 * An instance. The default is a plausible t3.micro with a role.
 */
export interface Instance {
  /**
   * Account ID: 12 digits.
   */
  "account-id"?: string;
  /**
   * Number of the instance among those launched by one call, from 0.
   */
  "ami-launch-index"?: number;
  /**
   * Path of the image's manifest; `(unknown)` for an image backed by EBS.
   */
  "ami-manifest-path"?: string;
  /**
   * IDs of the images that the image was built from.
   */
  "ancestor-ami-ids"?: string[];
  /**
   * Architecture of the processor.
   */
  architecture?: "x86_64" | "arm64" | "i386";
  /**
   * Target state in the auto scaling group, if the instance is in a group.
   */
  "auto-scaling"?: TargetLifecycleState | null;
  /**
   * Billing products, like `bp-6fa54006` for Windows.
   */
  "billing-products"?: string[];
  "block-devices"?: BlockDevices1;
  /**
   * Whether detailed monitoring is enabled.
   */
  "detailed-monitoring"?: boolean;
  /**
   * Whether hibernation is configured, for an instance that was launched with this parameter
   * `[I65]`. Default: it was launched without.
   */
  hibernation?: boolean | null;
  /**
   * Instance profile and role. `false` for an instance without a profile, which has no `iam/`
   * `[I35]`.
   */
  iam?: Iam | boolean;
  /**
   * ID of the image that the instance was launched from: `ami-` and 8 or 17 hexadecimal digits.
   */
  "image-id"?: string;
  /**
   * Action that the instance is notified of before it is bundled.
   */
  "instance-action"?: "none" | "shutdown" | "bundle-pending";
  /**
   * Instance ID: `i-` and 8 or 17 hexadecimal digits.
   */
  "instance-id"?: string;
  /**
   * Instance type, like `t3.micro`.
   */
  "instance-type"?: string;
  /**
   * Kernel ID, for a paravirtual image.
   */
  "kernel-id"?: string | null;
  /**
   * Purchasing option.
   */
  "life-cycle"?: "on-demand" | "spot" | "scheduled" | "capacity-block";
  /**
   * Keys of EC2 Instance Connect, while there are any.
   */
  "managed-ssh-keys"?: ManagedSshKeys | null;
  /**
   * Network interfaces. The first one is the primary interface.
   */
  "network-interfaces"?: NetworkInterface[];
  /**
   * Time of the launch (`pendingTime`). Default: five minutes before the start of the emulator.
   */
  "pending-time"?: Moment | null;
  placement?: Placement;
  /**
   * Product codes of the AWS Marketplace.
   */
  "product-codes"?: string[];
  /**
   * Virtualisation profile.
   */
  profile?: string;
  /**
   * Whether the interfaces have their public IPv4 addresses. `false` for an instance in a private
   * subnet, which has neither public addresses nor public host names. Default: `true`.
   */
  public?: boolean;
  /**
   * Public keys for logging in.
   */
  "public-keys"?: PublicKey[];
  /**
   * RAM disk ID, for a paravirtual image.
   */
  "ramdisk-id"?: string | null;
  /**
   * Reservation ID: `r-` and 8 or 17 hexadecimal digits.
   */
  "reservation-id"?: string;
  signatures?: Signatures;
  /**
   * Tags.
   */
  tags?: {
    [k: string]: string;
  };
  /**
   * User data: opaque bytes, at most 16 KiB.
   */
  "user-data"?: Content | null;
  vpc?: Vpc;
}
/**
 * Block devices.
 */
export interface BlockDevices1 {
  /**
   * The device of the image.
   */
  ami?: string;
  /**
   * EBS volumes: `ebs1`, `ebs2` …
   */
  ebs?: string[];
  /**
   * Instance store volumes: `ephemeral0`, `ephemeral1` …
   */
  ephemeral?: string[];
  /**
   * The root device.
   */
  root?: string;
  /**
   * The swap device.
   */
  swap?: string | null;
}
/**
 * The keys of EC2 Instance Connect. The emulator serves them as they are configured: AWS signs
 * them, so there is nothing that it can derive.
 */
export interface ManagedSshKeys {
  /**
   * The signed keys of each user of the operating system.
   */
  "active-keys"?: {
    [k: string]: Content;
  };
  /**
   * The certificate of the signer, and those that it is issued by.
   */
  "signer-cert"?: Content | null;
  /**
   * OCSP responses for these certificates, in base64, each with the fingerprint of its
   * certificate.
   */
  "signer-ocsp"?: {
    [k: string]: Content;
  };
}
/**
 * A network interface.
 */
export interface NetworkInterface {
  /**
   * Device number. Default: the index in the list of interfaces.
   */
  "device-number"?: number | null;
  /**
   * Interface ID: `eni-` and 8 or 17 hexadecimal digits.
   */
  "interface-id": string;
  /**
   * Delegated IPv4 prefixes, /28 blocks of the subnet.
   */
  "ipv4-prefixes"?: string[];
  /**
   * Delegated IPv6 prefixes, /80 blocks of the subnet.
   */
  "ipv6-prefixes"?: string[];
  /**
   * IPv6 addresses.
   */
  ipv6s?: string[];
  /**
   * MAC address: six pairs of lower-case hexadecimal digits, with colons in between.
   */
  mac: string;
  /**
   * Index of the network card, for instance types that have several. Default: 0 if another
   * interface has an index; otherwise the instance type has one card, and no index.
   */
  "network-card-index"?: number | null;
  /**
   * Private IPv4 addresses. The first one is the primary address. Empty on an IPv6-only subnet,
   * and for an interface that only an Elastic Fabric Adapter uses.
   */
  "private-ipv4s"?: string[];
  /**
   * Public IPv4 addresses, each with the private address that it is associated with.
   */
  "public-ipv4s"?: {
    [k: string]: string;
  };
  /**
   * IDs of the security groups, each with the name of the group. Default: the VPC's default
   * group.
   */
  "security-groups"?: {
    [k: string]: string;
  };
  subnet?: Subnet;
}
/**
 * The subnet.
 */
export interface Subnet {
  /**
   * Subnet ID: `subnet-` and 8 or 17 hexadecimal digits. Default: derived from the block.
   */
  id?: string | null;
  /**
   * IPv4 block. Default: the /20 block that the private IPv4 addresses are in, or a larger one
   * if it does not have all of them.
   */
  "ipv4-cidr-block"?: string | null;
  /**
   * IPv6 blocks. Default: the /64 block that the first IPv6 address is in.
   */
  "ipv6-cidr-blocks"?: string[];
}
/**
 * Placement.
 */
export interface Placement {
  /**
   * Availability Zone like `us-east-1a`, Local Zone like `us-west-2-lax-1a`, or Wavelength Zone like
   * `us-east-1-wl1-bos-wlz-1`. Region, partition, domain and host names are derived from it.
   */
  "availability-zone"?: string;
  /**
   * ID of the zone, like `use1-az1`, `usw2-lax1-az1` or `use1-wl1-bos-wlz1`. Default: derived
   * from the zone.
   */
  "availability-zone-id"?: string | null;
  /**
   * Domain of the partition, like `amazonaws.com.cn`. Default: derived from the region, as the
   * partition is.
   */
  domain?: string | null;
  /**
   * Name of the placement group.
   */
  "group-name"?: string | null;
  /**
   * ID of the dedicated host.
   */
  "host-id"?: string | null;
  /**
   * ARN of the Outpost that the instance is on.
   */
  "outpost-arn"?: string | null;
  /**
   * Partition, like `aws-cn`. Default: derived from the region, if AWS has published its partition.
   */
  partition?: string | null;
  /**
   * Number of the partition in a partition placement group.
   */
  "partition-number"?: number | null;
}
/**
 * A public key for logging in.
 */
export interface PublicKey {
  /**
   * The name of the key pair.
   */
  name: string;
  /**
   * Type and key, like `ssh-ed25519 AAAA…`. IMDS serves the name of the key pair in place of a
   * comment.
   */
  "openssh-key": string;
}
/**
 * Signatures of the identity document.
 */
export interface Signatures {
  /**
   * Whether `dsa2048` exists. Default: `false`.
   */
  dsa2048?: boolean;
  /**
   * Size of the RSA key of `signature` in bits: 1024, as on instances, or 2048. Default: 2048.
   */
  "rsa-bits"?: number;
}
/**
 * Network.
 */
export interface Vpc {
  /**
   * VPC ID: `vpc-` and 8 or 17 hexadecimal digits.
   */
  id?: string;
  /**
   * IPv4 blocks. The first one is the primary block. Default: the /16 blocks that the subnets
   * are in.
   */
  "ipv4-cidr-blocks"?: string[];
  /**
   * IPv6 blocks. Default: the /56 blocks that the subnets are in.
   */
  "ipv6-cidr-blocks"?: string[];
}
/**
 * The requests that a rule is for: those that match everything that is given.
 */
export interface Match1 {
  /**
   * The client's address or network.
   */
  client?: string | null;
  /**
   * Headers, each with a glob of its value.
   */
  headers?: {
    [k: string]: string;
  };
  /**
   * The version of IMDS that the client uses.
   */
  imds?: ImdsVersion | null;
  /**
   * The method, like `GET`.
   */
  method?: string | null;
  /**
   * Glob of the whole path: `*` matches within one segment, `**` across segments. Repeated
   * slashes count as one, and percent escapes are decoded. A glob of a folder, like `** /security-credentials/`, also matches its
   * path without the final slash.
   */
  path?: string | null;
  /**
   * Glob of the name of the process that sent the request. Supported on Linux only.
   */
  process?: string | null;
  /**
   * Numbers of requests, counted from 1 since the emulator was started or reset.
   */
  request?: Numbers | null;
  /**
   * The state of the request's token.
   */
  token?: TokenState | null;
  /**
   * Glob of the `User-Agent`, like `Boto3/*`.
   */
  "user-agent"?: string | null;
  /**
   * The first segment of the path: `latest` or a version.
   */
  version?: string | null;
}
/**
 * The metadata options of an instance, with AWS's names.
 */
export interface MetadataOptions {
  /**
   * `disabled` answers every request with 403. Default: `enabled`.
   */
  HttpEndpoint?: "enabled" | "disabled";
  /**
   * Whether IMDS is available over IPv6, if the emulator listens on an IPv6 address.
   * Default: `enabled`; AWS's own default is `disabled`.
   */
  HttpProtocolIpv6?: "enabled" | "disabled";
  /**
   * Network hops within which responses to `PUT` requests arrive, 1 to 64. `server.peers`
   * sets the number of hops of clients. Default: 1.
   */
  HttpPutResponseHopLimit?: number;
  /**
   * `required` rejects requests without a token, `optional` answers them.
   * Default: `required`, as for new images; AWS's own default is `optional`.
   */
  HttpTokens?: "optional" | "required";
  /**
   * Whether `tags/` exists. Default: `enabled`; AWS's own default is `disabled`.
   */
  InstanceMetadataTags?: "enabled" | "disabled";
}
/**
 * A number of requests of a kind.
 */
export interface OnRequest {
  /**
   * How many. Default: 1.
   */
  nth?: number;
  of?: Filter4;
}
/**
 * The requests to count. Default: all.
 */
export interface Filter4 {
  /**
   * The client's address or network.
   */
  client?: string | null;
  /**
   * The version of IMDS that the client used.
   */
  imds?: ImdsVersion | null;
  /**
   * Only this number of the newest exchanges.
   */
  limit?: number | null;
  /**
   * The method.
   */
  method?: string | null;
  /**
   * The outcome.
   */
  outcome?: Outcome | null;
  /**
   * Glob of the path.
   */
  path?: string | null;
  /**
   * Glob of the name of the process. It needs `journal.process`.
   */
  process?: string | null;
  /**
   * The name of a rule that applied.
   */
  rule?: string | null;
  /**
   * Only exchanges with a higher number.
   */
  since?: number | null;
  /**
   * The status of the response.
   */
  status?: number | null;
  /**
   * The state of the request's token.
   */
  token?: TokenState | null;
  /**
   * Glob of the `User-Agent`.
   */
  "user-agent"?: string | null;
}
/**
 * The packets that clients have sent to IMDS, acknowledgements and the like included.
 */
export interface Packets {
  /**
   * The number of packets per second that EC2 allows an instance to send to IMDS, DNS and the time
   * service together. EC2 drops the rest.
   */
  "allowed-per-second": number;
  /**
   * The connections, oldest first, as far as the journal goes back.
   */
  connections: ConnectionPackets[];
  /**
   * The highest number of packets within one second.
   */
  "most-per-second": number;
  /**
   * The number of packets.
   */
  sent: number;
}
/**
 * A JSON merge patch (RFC 7386): its values replace the present ones, and `null` removes a value.
 */
export interface Patch {
  [k: string]: unknown;
}
/**
 * The placement of an instance.
 */
export interface Placement1 {
  /**
   * Availability Zone like `us-east-1a`, Local Zone like `us-west-2-lax-1a`, or Wavelength Zone like
   * `us-east-1-wl1-bos-wlz-1`. Region, partition, domain and host names are derived from it.
   */
  "availability-zone"?: string;
  /**
   * ID of the zone, like `use1-az1`, `usw2-lax1-az1` or `use1-wl1-bos-wlz1`. Default: derived
   * from the zone.
   */
  "availability-zone-id"?: string | null;
  /**
   * Domain of the partition, like `amazonaws.com.cn`. Default: derived from the region, as the
   * partition is.
   */
  domain?: string | null;
  /**
   * Name of the placement group.
   */
  "group-name"?: string | null;
  /**
   * ID of the dedicated host.
   */
  "host-id"?: string | null;
  /**
   * ARN of the Outpost that the instance is on.
   */
  "outpost-arn"?: string | null;
  /**
   * Partition, like `aws-cn`. Default: derived from the region, if AWS has published its partition.
   */
  partition?: string | null;
  /**
   * Number of the partition in a partition placement group.
   */
  "partition-number"?: number | null;
}
/**
 * A preset.
 */
export interface PresetInfo {
  description: string;
  name: Preset;
  /**
   * The preset's rules, if it has any.
   */
  rules: Rule[];
}
/**
 * Why a request was not accepted.
 */
export interface Problem {
  /**
   * The value that is not accepted, and what is accepted.
   */
  detail: string;
  /**
   * The field of the body that has this value.
   */
  field?: string | null;
  /**
   * The status of the response.
   */
  status: number;
  /**
   * The status in words.
   */
  title: string;
}
/**
 * The verdicts on several assertions.
 */
export interface Report {
  /**
   * Whether all assertions hold.
   */
  holds: boolean;
  /**
   * The verdict on each assertion, in the order given.
   */
  verdicts: Verdict[];
}
/**
 * Whether an assertion holds.
 */
export interface Verdict {
  /**
   * The assertion.
   */
  assertion:
    | "no_imdsv1"
    | "no_forwarded"
    | {
        max_token_puts: number;
      }
    | {
        max_requests: MaxRequests;
      }
    | {
        min_requests: MinRequests;
      }
    | {
        requests: Requests;
      }
    | {
        order: string[];
      }
    | {
        backs_off_after: BacksOff;
      }
    | {
        user_agent: UserAgent;
      }
    | {
        max_packets_per_second: number;
      };
  /**
   * The exchanges that violate the assertion, or come closest to fulfilling it.
   */
  exchanges: Exchange[];
  /**
   * Whether the assertion holds, as far as the journal goes back.
   */
  holds: boolean;
  /**
   * The reason.
   */
  why: string;
}
/**
 * The state of a scenario.
 */
export interface ScenarioState {
  state: string;
}
/**
 * The signatures of the identity document, which differ between instances.
 */
export interface Signatures1 {
  /**
   * Whether `dsa2048` exists. Default: `false`.
   */
  dsa2048?: boolean;
  /**
   * Size of the RSA key of `signature` in bits: 1024, as on instances, or 2048. Default: 2048.
   */
  "rsa-bits"?: number;
}
/**
 * A step and its state.
 */
export interface StepStatus {
  /**
   * The number of requests so far, of those that the step waits for.
   */
  seen: number;
  /**
   * The step's state.
   */
  state:
    | "pending"
    | {
        done: string;
      }
    | {
        failed: string;
      };
  step: TimelineStep;
}
/**
 * The step.
 */
export interface TimelineStep {
  /**
   * Take the step this long after the start, on the emulator's clock.
   */
  at?: Span | null;
  /**
   * What to do, in this order.
   */
  do: Action[];
  /**
   * The step's name. No two steps have the same name.
   */
  name: string;
  /**
   * Take the step after these requests.
   */
  on?: On | null;
}
/**
 * A subnet. What is not set follows from the addresses of the interface.
 */
export interface Subnet1 {
  /**
   * Subnet ID: `subnet-` and 8 or 17 hexadecimal digits. Default: derived from the block.
   */
  id?: string | null;
  /**
   * IPv4 block. Default: the /20 block that the private IPv4 addresses are in, or a larger one
   * if it does not have all of them.
   */
  "ipv4-cidr-block"?: string | null;
  /**
   * IPv6 blocks. Default: the /64 block that the first IPv6 address is in.
   */
  "ipv6-cidr-blocks"?: string[];
}
/**
 * A step of a timeline. A step with neither `at` nor `on` is only taken on demand.
 */
export interface TimelineStep1 {
  /**
   * Take the step this long after the start, on the emulator's clock.
   */
  at?: Span | null;
  /**
   * What to do, in this order.
   */
  do: Action[];
  /**
   * The step's name. No two steps have the same name.
   */
  name: string;
  /**
   * Take the step after these requests.
   */
  on?: On | null;
}
/**
 * The network of an instance.
 */
export interface Vpc1 {
  /**
   * VPC ID: `vpc-` and 8 or 17 hexadecimal digits.
   */
  id?: string;
  /**
   * IPv4 blocks. The first one is the primary block. Default: the /16 blocks that the subnets
   * are in.
   */
  "ipv4-cidr-blocks"?: string[];
  /**
   * IPv6 blocks. Default: the /56 blocks that the subnets are in.
   */
  "ipv6-cidr-blocks"?: string[];
}
/**
 * When a rule applies to a request that it matches.
 */
export interface When1 {
  /**
   * Time from when the rule was added until it applies, on the emulator's clock. Default: `0s`.
   */
  after?: Span | null;
  /**
   * Number of requests after which the rule stops. Default: no limit.
   */
  count?: number | null;
  /**
   * Time for which the rule applies from then on, on the emulator's clock. Default: no limit.
   */
  duration?: Span | null;
  /**
   * Share of the matching requests, 0 to 1. The seed determines which ones. Default: 1.
   */
  probability?: number | null;
  /**
   * The state that a scenario must be in. Default: any.
   */
  scenario?: InScenario | null;
  /**
   * Seed for `probability` and for random parameters of the fault. Default: derived from the
   * emulator's seed and the rule's name.
   */
  seed?: number | null;
  /**
   * Number of matching requests that are skipped first. Default: 0.
   */
  "skip-first"?: number;
  /**
   * Real time after which the rule is removed, whatever the emulator's clock shows: a safety net
   * for rules that a test fails to remove. Default: no limit.
   */
  ttl?: Span | null;
}
/**
 * The admin API. It has its own listener.
 */
export interface Admin {
  /**
   * Whether the admin API is enabled. Default: `true` for the command, `false` for the library.
   */
  enabled?: boolean;
  /**
   * Address to listen on. Default: 127.0.0.1.
   */
  host?: string;
  /**
   * Port to listen on; 0 for any free port. Default: 1339.
   */
  port?: number;
  /**
   * Path of a Unix socket to listen on as well. Supported on Unix only. Default: none.
   */
  socket?: string | null;
}
/**
 * The journal of requests.
 */
export interface Journal {
  /**
   * Number of exchanges that are kept; older ones are dropped. Default: 1024.
   */
  capacity?: number;
  /**
   * Whether the packets that clients send to IMDS are counted: those of isolated commands, and with
   * `--link-local`, `--netns` and `--join`. Supported on Linux only. Default: `false`.
   */
  packets?: boolean;
  /**
   * Whether the journal records the process that sent each request, which is looked up for each
   * connection. Supported on Linux only. Default: `false`.
   */
  process?: boolean;
}
/**
 * Clients and their number of network hops.
 */
export interface Peers {
  /**
   * Number of hops, 1 to 64: 1 for a program on the instance, 2 for one in a container behind a
   * bridge. For a client in several networks the first one counts.
   */
  hops: number;
  /**
   * The addresses of the clients.
   */
  network: string;
}
/**
 * Where and how the emulator answers.
 */
export interface Server {
  /**
   * Format of the responses. Default: `nitro`.
   */
  dialect?: "nitro" | "xen";
  /**
   * a length of time: numbers with units, like 6h 20m, 90s or 500ms
   */
  "head-timeout"?: string;
  /**
   * IPv4 and IPv6 addresses to listen on. Default: 127.0.0.1.
   */
  hosts?: string[];
  /**
   * Whether connections stay open for further requests. IMDS closes them. Default:
   * `false`.
   */
  "keep-alive"?: boolean;
  /**
   * Clients and their number of network hops, for `HttpPutResponseHopLimit`. Default: 1 hop for
   * all clients.
   */
  peers?: Peers[];
  /**
   * Port to listen on; 0 for any free port. Default: 1338.
   */
  port?: number;
  /**
   * Seed that keys and tokens are derived from. With the same seed, tokens stay valid across a
   * restart, and credentials and certificates are the same. Default: random at each start.
   */
  seed?: Seed | null;
}
/**
 * The configuration of an emulator.
 */
export interface Config {
  admin?: Admin1;
  /**
   * Paths below the version, like `meta-data/ami-id`, each with a value in place of the one
   * derived from the instance. They can be paths that IMDS does not have.
   */
  data?: {
    [k: string]: Content;
  };
  events?: Events1;
  /**
   * Faults that are injected from the start.
   */
  faults?: Rule[];
  instance?: Instance1;
  journal?: Journal1;
  "metadata-options"?: MetadataOptions1;
  server?: Server1;
  /**
   * Commands that are applied at certain times or after certain requests.
   */
  timeline?: TimelineStep1[];
}
/**
 * The admin API.
 */
export interface Admin1 {
  /**
   * Whether the admin API is enabled. Default: `true` for the command, `false` for the library.
   */
  enabled?: boolean;
  /**
   * Address to listen on. Default: 127.0.0.1.
   */
  host?: string;
  /**
   * Port to listen on; 0 for any free port. Default: 1339.
   */
  port?: number;
  /**
   * Path of a Unix socket to listen on as well. Supported on Unix only. Default: none.
   */
  socket?: string | null;
}
/**
 * Events that are announced to the instance.
 */
export interface Events1 {
  /**
   * Maintenance that is scheduled, completed or cancelled.
   */
  maintenance?: Maintenance[];
  /**
   * Recommendation to rebalance, because an interruption has become more likely.
   */
  "rebalance-recommendation"?: RebalanceRecommendation | null;
  /**
   * Interruption of a spot instance.
   */
  "spot-interruption"?: SpotInterruption | null;
}
/**
 * The instance.
 */
export interface Instance1 {
  /**
   * Account ID: 12 digits.
   */
  "account-id"?: string;
  /**
   * Number of the instance among those launched by one call, from 0.
   */
  "ami-launch-index"?: number;
  /**
   * Path of the image's manifest; `(unknown)` for an image backed by EBS.
   */
  "ami-manifest-path"?: string;
  /**
   * IDs of the images that the image was built from.
   */
  "ancestor-ami-ids"?: string[];
  /**
   * Architecture of the processor.
   */
  architecture?: "x86_64" | "arm64" | "i386";
  /**
   * Target state in the auto scaling group, if the instance is in a group.
   */
  "auto-scaling"?: TargetLifecycleState | null;
  /**
   * Billing products, like `bp-6fa54006` for Windows.
   */
  "billing-products"?: string[];
  "block-devices"?: BlockDevices1;
  /**
   * Whether detailed monitoring is enabled.
   */
  "detailed-monitoring"?: boolean;
  /**
   * Whether hibernation is configured, for an instance that was launched with this parameter
   * `[I65]`. Default: it was launched without.
   */
  hibernation?: boolean | null;
  /**
   * Instance profile and role. `false` for an instance without a profile, which has no `iam/`
   * `[I35]`.
   */
  iam?: Iam | boolean;
  /**
   * ID of the image that the instance was launched from: `ami-` and 8 or 17 hexadecimal digits.
   */
  "image-id"?: string;
  /**
   * Action that the instance is notified of before it is bundled.
   */
  "instance-action"?: "none" | "shutdown" | "bundle-pending";
  /**
   * Instance ID: `i-` and 8 or 17 hexadecimal digits.
   */
  "instance-id"?: string;
  /**
   * Instance type, like `t3.micro`.
   */
  "instance-type"?: string;
  /**
   * Kernel ID, for a paravirtual image.
   */
  "kernel-id"?: string | null;
  /**
   * Purchasing option.
   */
  "life-cycle"?: "on-demand" | "spot" | "scheduled" | "capacity-block";
  /**
   * Keys of EC2 Instance Connect, while there are any.
   */
  "managed-ssh-keys"?: ManagedSshKeys | null;
  /**
   * Network interfaces. The first one is the primary interface.
   */
  "network-interfaces"?: NetworkInterface[];
  /**
   * Time of the launch (`pendingTime`). Default: five minutes before the start of the emulator.
   */
  "pending-time"?: Moment | null;
  placement?: Placement;
  /**
   * Product codes of the AWS Marketplace.
   */
  "product-codes"?: string[];
  /**
   * Virtualisation profile.
   */
  profile?: string;
  /**
   * Whether the interfaces have their public IPv4 addresses. `false` for an instance in a private
   * subnet, which has neither public addresses nor public host names. Default: `true`.
   */
  public?: boolean;
  /**
   * Public keys for logging in.
   */
  "public-keys"?: PublicKey[];
  /**
   * RAM disk ID, for a paravirtual image.
   */
  "ramdisk-id"?: string | null;
  /**
   * Reservation ID: `r-` and 8 or 17 hexadecimal digits.
   */
  "reservation-id"?: string;
  signatures?: Signatures;
  /**
   * Tags.
   */
  tags?: {
    [k: string]: string;
  };
  /**
   * User data: opaque bytes, at most 16 KiB.
   */
  "user-data"?: Content | null;
  vpc?: Vpc;
}
/**
 * The journal of requests.
 */
export interface Journal1 {
  /**
   * Number of exchanges that are kept; older ones are dropped. Default: 1024.
   */
  capacity?: number;
  /**
   * Whether the packets that clients send to IMDS are counted: those of isolated commands, and with
   * `--link-local`, `--netns` and `--join`. Supported on Linux only. Default: `false`.
   */
  packets?: boolean;
  /**
   * Whether the journal records the process that sent each request, which is looked up for each
   * connection. Supported on Linux only. Default: `false`.
   */
  process?: boolean;
}
/**
 * The instance's metadata options.
 */
export interface MetadataOptions1 {
  /**
   * `disabled` answers every request with 403. Default: `enabled`.
   */
  HttpEndpoint?: "enabled" | "disabled";
  /**
   * Whether IMDS is available over IPv6, if the emulator listens on an IPv6 address.
   * Default: `enabled`; AWS's own default is `disabled`.
   */
  HttpProtocolIpv6?: "enabled" | "disabled";
  /**
   * Network hops within which responses to `PUT` requests arrive, 1 to 64. `server.peers`
   * sets the number of hops of clients. Default: 1.
   */
  HttpPutResponseHopLimit?: number;
  /**
   * `required` rejects requests without a token, `optional` answers them.
   * Default: `required`, as for new images; AWS's own default is `optional`.
   */
  HttpTokens?: "optional" | "required";
  /**
   * Whether `tags/` exists. Default: `enabled`; AWS's own default is `disabled`.
   */
  InstanceMetadataTags?: "enabled" | "disabled";
}
/**
 * Where and how the emulator answers.
 */
export interface Server1 {
  /**
   * Format of the responses. Default: `nitro`.
   */
  dialect?: "nitro" | "xen";
  /**
   * a length of time: numbers with units, like 6h 20m, 90s or 500ms
   */
  "head-timeout"?: string;
  /**
   * IPv4 and IPv6 addresses to listen on. Default: 127.0.0.1.
   */
  hosts?: string[];
  /**
   * Whether connections stay open for further requests. IMDS closes them. Default:
   * `false`.
   */
  "keep-alive"?: boolean;
  /**
   * Clients and their number of network hops, for `HttpPutResponseHopLimit`. Default: 1 hop for
   * all clients.
   */
  peers?: Peers[];
  /**
   * Port to listen on; 0 for any free port. Default: 1338.
   */
  port?: number;
  /**
   * Seed that keys and tokens are derived from. With the same seed, tokens stay valid across a
   * restart, and credentials and certificates are the same. Default: random at each start.
   */
  seed?: Seed | null;
}
