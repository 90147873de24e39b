import java.io.*;
import java.net.*;
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;

/** Files, threads, a process and a connection: PORT. */
public class Files {
    public static void main(String[] args) throws Exception {
        int port = Integer.parseInt(args[0]);
        ExecutorService threads = Executors.newFixedThreadPool(16);
        List<Future<Integer>> lengths = new ArrayList<>();
        for (int i = 0; i < 64; i++) {
            Path path = Path.of("file-" + i);
            lengths.add(threads.submit(() -> {
                java.nio.file.Files.writeString(path, "text of " + path);
                return java.nio.file.Files.readString(path).length();
            }));
        }
        int sum = 0;
        for (Future<Integer> length : lengths) sum += length.get();
        threads.shutdown();
        System.out.println("written: " + sum);
        try {
            new FileInputStream("/no/such/file");
        } catch (IOException error) {
            System.out.println(error.getMessage());
        }
        URL url = new URL("http://127.0.0.1:" + port + "/java");
        try (InputStream in = url.openStream()) {
            System.out.print(new String(in.readAllBytes()));
        }
        Process process = new ProcessBuilder("sh", "-c", "echo from a child; exit 3").inheritIO().start();
        System.exit(process.waitFor() + 4);
    }
}
