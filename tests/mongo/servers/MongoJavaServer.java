// MongoJavaServer PORT FILE [CACHE_MIB]: mongo-java-server on 127.0.0.1, with its data in an H2 file, of which it keeps so much in memory
// (default 16 MiB). By itself it writes what it has confirmed a second later; here it does so before it answers, as a server with a journal
// does, so that tests may kill it.
import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.wire.message.MongoMessage;
import org.h2.mvstore.MVStore;

public class MongoJavaServer {
  static class Journaled extends H2Backend {
    Journaled(String file, int cache) {
      super(new MVStore.Builder().fileName(file).cacheSize(cache).open());
    }

    @Override
    public Document handleMessage(MongoMessage message) {
      Document answer = super.handleMessage(message);
      if (message.getDocument().containsKey("writeConcern")) commit();
      return answer;
    }
  }

  public static void main(String[] arguments) throws Exception {
    MongoServer server = new MongoServer(new Journaled(arguments[1], arguments.length > 2 ? Integer.parseInt(arguments[2]) : 16));
    server.bind("127.0.0.1", Integer.parseInt(arguments[0]));
    Thread.currentThread().join();
  }
}
