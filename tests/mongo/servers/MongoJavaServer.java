// MongoJavaServer PORT FILE: mongo-java-server on 127.0.0.1, with its data in an H2 file.
import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.backend.h2.H2Backend;

public class MongoJavaServer {
  public static void main(String[] arguments) throws Exception {
    MongoServer server = new MongoServer(new H2Backend(arguments[1]));
    server.bind("127.0.0.1", Integer.parseInt(arguments[0]));
    Thread.currentThread().join();
  }
}
