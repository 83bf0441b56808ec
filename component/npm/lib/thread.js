import { Worker } from "node:worker_threads";
import { Ec2RoleError } from "./error.js";

/**
 * A thread with an instance of the component. A call of the component blocks its thread, so it must not be
 * the main thread. The thread is started by the first call, and does not keep the process from exiting.
 */
export class Thread {
  #options;
  #worker;
  #calls = new Map();
  #number = 0;

  constructor(options) {
    this.#options = options;
  }

  /** Calls a function of an interface that the component exports. */
  call(group, name, ...values) {
    this.#worker ??= this.#start();
    const worker = this.#worker;
    const number = ++this.#number;
    return new Promise((resolve, reject) => {
      this.#calls.set(number, { resolve, reject });
      worker.ref();
      worker.postMessage({ number, group, name, values });
    });
  }

  async close() {
    const worker = this.#worker;
    this.#end(new Error("the component was closed"));
    await worker?.terminate();
  }

  #start() {
    const worker = new Worker(new URL("worker.js", import.meta.url), {
      name: "ec2-role",
      // Without the flags of this process, which are for its own modules.
      execArgv: [],
      workerData: this.#options,
    });
    worker.on("message", ({ number, value, error }) => {
      const { resolve, reject } = this.#calls.get(number);
      this.#calls.delete(number);
      if (this.#calls.size === 0) {
        worker.unref();
      }
      if (error) {
        reject(new Ec2RoleError(error));
      } else {
        resolve(value);
      }
    });
    worker.on("error", (error) => this.#end(error));
    worker.on("exit", (status) => {
      if (this.#worker === worker) {
        this.#end(new Error(`the thread of the component has exited (status ${status})`));
      }
    });
    return worker;
  }

  /** Fails all calls. The next call starts another thread. */
  #end(error) {
    this.#worker = undefined;
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const { reject } of calls) {
      reject(error);
    }
  }
}
