// Files, threads, children, a server and its client on a Unix socket: PORT SOCKET.
const fs = require("fs");
const http = require("http");
const { execFileSync, spawnSync } = require("child_process");
const { Worker } = require("worker_threads");

async function get(options) {
    return new Promise((resolve, reject) => {
        http.get(options, (response) => {
            let text = "";
            response.on("data", (data) => (text += data));
            response.on("end", () => resolve(text));
        }).on("error", reject);
    });
}

async function main() {
    const [port, socket] = process.argv.slice(2);
    const names = [...Array(50).keys()].map((i) => `file-${i}`);
    await Promise.all(names.map((name) => fs.promises.writeFile(name, name)));
    const texts = await Promise.all(names.map((name) => fs.promises.readFile(name, "utf8")));
    console.log(texts.join(" "));
    await fs.promises.open("/no/such/file").catch((error) => console.log(error.code));
    console.log(execFileSync("sh", ["-c", "echo from a child"], { encoding: "utf8" }).trim());
    console.log(spawnSync("sh", ["-c", "kill -TERM $$"]).signal);
    const code = 'require("worker_threads").parentPort.postMessage(require("fs").readFileSync("file-7", "utf8"))';
    console.log(await new Promise((resolve) => new Worker(code, { eval: true }).on("message", resolve)));
    process.stdout.write(await get({ host: "127.0.0.1", port, path: "/node" }));
    const server = http.createServer((_, response) => response.end("from myself"));
    await new Promise((resolve) => server.listen(socket, resolve));
    console.log(await get({ socketPath: socket }));
    server.close();
    process.exitCode = 5;
}

main();
