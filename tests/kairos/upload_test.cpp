#include <string>

#include <gtest/gtest.h>
#include <setget/memory.hpp>

#include "products/upload_route.hpp"

namespace {

class UploadRoute : public ::testing::Test {
 protected:
  void SetUp() override {
    auto database = setget::memory::open();
    ASSERT_TRUE(database);
    setget::PipelineOptions options;
    options.queue = database->queue("records");
    options.key_store = database->key_store();
    options.durability = setget::Durability::kMemory;
    auto made = setget::Pipeline::create(std::move(options));
    ASSERT_TRUE(made) << made.error().describe();
    pipeline = std::move(*made);
    products = std::make_unique<kairos::Products>(*pipeline);
  }

  setget::GatewayResponse post(const std::string& body, const std::string& type = "multipart/form-data; boundary=B") {
    setget::GatewayRequest request;
    request.method = "POST";
    request.target = "/uploads";
    request.headers = {{"content-type", type}};
    request.body = body;
    auto response = kairos::handle_upload(request, manager, *products);
    while (pipeline->worker().run_once().value_or(0) > 0) {
    }
    return response;
  }

  static std::string file(const std::string& name, const std::string& content) {
    return "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"" + name + "\"\r\n\r\n" + content + "\r\n--B--\r\n";
  }

  std::unique_ptr<setget::Pipeline> pipeline;
  std::unique_ptr<kairos::Products> products;
  kairos::ProductManager manager;
};

TEST_F(UploadRoute, stores_every_row_and_finds_it_under_each_of_its_keys) {
  std::string rows = "sku,ean,price\n";
  for (int i = 0; i < 250; ++i) rows += "S" + std::to_string(i) + ",E" + std::to_string(i) + "," + std::to_string(i) + ".50\n";
  const auto response = post(file("a.csv", rows));
  ASSERT_EQ(response.status, 200) << response.body.view();
  const auto body = nlohmann::json::parse(response.body.view());
  EXPECT_EQ(body["items"], 250);
  EXPECT_EQ(body["accepted"], 250);
  for (int i = 0; i < 250; ++i) {
    for (const char* prefix : {"sku/S", "ean/E"}) {
      const auto found = products->find(prefix + std::to_string(i));
      ASSERT_TRUE(found && *found) << i;
      EXPECT_EQ((**found)["price_cents"], i * 100 + 50);
      EXPECT_EQ((**found)["source"]["item"], i + 1);
    }
  }
}

TEST_F(UploadRoute, a_later_upload_of_the_same_product_replaces_it) {
  post(file("a.csv", "sku,name\nS,old\n"));
  post(file("b.json", R"([{"sku":"S","name":"new"}])"));
  EXPECT_EQ((**products->find("sku/S"))["name"], "new");
}

TEST_F(UploadRoute, names_the_refused_rows_and_stores_the_others) {
  const auto response = post(file("a.csv", "sku,price\n1,2\n,3\n4,x\n"));
  const auto body = nlohmann::json::parse(response.body.view());
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(body["accepted"], 1);
  ASSERT_EQ(body["refused"].size(), 2u);
  EXPECT_NE(body["refused"][0].get<std::string>().find("a.csv: item 2: sku"), std::string::npos);
  EXPECT_NE(body["refused"][1].get<std::string>().find("a.csv: item 3: price"), std::string::npos);
}

TEST_F(UploadRoute, answers_problems_for_what_is_no_upload) {
  EXPECT_EQ(post("x", "text/plain").status, 415);
  EXPECT_EQ(post("--B\r\nContent-Disposition: form-data; name=f; filename=a.csv\r\n\r\nsku\n1").status, 400);
  EXPECT_NE(post(file("a.exe", "x")).status, 200);
  setget::GatewayRequest request;
  request.method = "GET";
  EXPECT_EQ(kairos::handle_upload(request, manager, *products).status, 405);
}

}  // namespace
