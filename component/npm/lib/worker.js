// The thread that runs the component.
import { parentPort, workerData } from "node:worker_threads";
import { ec2Role, metadata, provider } from "../component/component.js";

const groups = { ec2Role, metadata, provider };

/** The component's error, without which the bindings' error says nothing. */
const reason = (error) => error.payload ?? { tag: "other", val: `${error}` };

let invalid;
try {
  ec2Role.configure(workerData);
} catch (error) {
  invalid = reason(error);
}

parentPort.on("message", ({ number, group, name, values }) => {
  if (invalid) {
    parentPort.postMessage({ number, error: invalid });
    return;
  }
  try {
    parentPort.postMessage({ number, value: groups[group][name](...values) });
  } catch (error) {
    parentPort.postMessage({ number, error: reason(error) });
  }
});
