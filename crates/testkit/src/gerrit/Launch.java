import com.google.gerrit.pgm.Daemon;
import com.google.gerrit.pgm.Init;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Makes the site if there is none and runs Gerrit's daemon in this process, until standard input ends: that is the end of whoever
 * started it, however that came, or ten seconds later at most. Each step is told on standard output.
 */
public class Launch {
  /** Whoever is to wait for its end does not wait for ever for what hangs in it. */
  private static void halt() {
    try {
      Thread.sleep(10_000);
    } catch (InterruptedException soon) {
      // As good as the time.
    }
    Runtime.getRuntime().halt(3);
  }

  public static void main(String[] arguments) throws Exception {
    String site = arguments[0];
    Thread watch =
        new Thread(
            () -> {
              try {
                while (System.in.read() >= 0) {}
              } catch (java.io.IOException gone) {
                // As good as its end.
              }
              Thread end = new Thread(Launch::halt);
              end.setDaemon(true);
              end.start();
              System.exit(0);
            });
    watch.setDaemon(true);
    watch.start();
    if (!Files.exists(Path.of(site, "git"))) {
      long began = System.nanoTime();
      int code =
          new Init()
              .main(
                  new String[] {
                    "-d", site, "--batch", "--dev", "--no-auto-start", "--skip-plugins", "--skip-all-downloads"
                  });
      if (code != 0) {
        System.exit(code);
      }
      System.out.println("bellwether: init took " + (System.nanoTime() - began) / 1_000_000 + " ms");
    }
    System.exit(new Daemon().main(new String[] {"-d", site, "--console-log", "--headless"}));
  }
}
