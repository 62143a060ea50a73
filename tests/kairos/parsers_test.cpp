#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "file_process/csv.hpp"
#include "file_process/file_process.hpp"
#include "file_process/json_items.hpp"
#include "file_process/multipart.hpp"
#include "product_manager/product_manager.hpp"

namespace {

using kairos::Item;

struct Collected {
  std::vector<Item> items;
  kairos::ItemSink sink() {
    return [this](Item&& item) {
      items.push_back(std::move(item));
      return setget::Result<void>();
    };
  }
};

template <class Reader>
setget::Result<void> read_in_pieces(Reader& reader, std::string_view text, std::size_t piece) {
  for (std::size_t at = 0; at < text.size(); at += piece) {
    auto fed = reader.feed(text.substr(at, piece));
    if (!fed) return fed;
  }
  return reader.finish();
}

TEST(Csv, keeps_commas_quotes_and_line_breaks_that_are_quoted) {
  Collected got;
  kairos::CsvReader reader("a.csv", got.sink());
  ASSERT_TRUE(read_in_pieces(reader, "sku,name\r\n1,\"a, \"\"b\"\"\r\nc\"\r\n2,\n", 1));
  ASSERT_EQ(got.items.size(), 2u);
  EXPECT_EQ(got.items[0].fields["name"], "a, \"b\"\r\nc");
  EXPECT_EQ(got.items[1].fields["name"], "");
  EXPECT_EQ(got.items[1].number, 2u);
}

TEST(Csv, names_the_row_that_has_another_width) {
  Collected got;
  kairos::CsvReader reader("a.csv", got.sink());
  const auto read = read_in_pieces(reader, "sku,name\n1,x\n2\n", 4);
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().message().find("row 2"), std::string::npos) << read.error().message();
  EXPECT_EQ(got.items.size(), 1u);
}

TEST(Csv, refuses_a_file_that_ends_within_quotes) {
  Collected got;
  kairos::CsvReader reader("a.csv", got.sink());
  EXPECT_FALSE(read_in_pieces(reader, "sku\n\"1", 2));
}

TEST(JsonItems, reads_arrays_and_lines_however_they_are_cut) {
  for (const std::string text : {R"([{"sku":"1","t":"}]\"["},{"sku":"2","n":{"a":[1,{}]}}])",
                                 "{\"sku\":\"1\",\"t\":\"}]\\\"[\"}\n{\"sku\":\"2\",\"n\":{\"a\":[1,{}]}}\n"}) {
    for (std::size_t piece = 1; piece <= text.size(); ++piece) {
      Collected got;
      kairos::JsonItemReader reader("a.json", got.sink());
      ASSERT_TRUE(read_in_pieces(reader, text, piece)) << piece;
      ASSERT_EQ(got.items.size(), 2u);
      EXPECT_EQ(got.items[0].fields["t"], "}]\"[");
      EXPECT_EQ(got.items[1].number, 2u);
    }
  }
}

TEST(JsonItems, refuses_what_is_cut_off_or_no_object) {
  for (const char* text : {R"([{"sku":1})", R"([{"sku":1}] x)", R"([1])", R"({"sku":)", R"([{"sku":1]])"}) {
    Collected got;
    kairos::JsonItemReader reader("a.json", got.sink());
    EXPECT_FALSE(read_in_pieces(reader, text, 3)) << text;
  }
}

// Bodies that look like delimiters until their last byte, and an empty one.
TEST(Multipart, gives_the_same_parts_however_the_upload_is_cut) {
  const std::string upload =
      "preamble\r\n--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a \\\"b\\\".csv\"\r\nContent-Type: Text/CSV; "
      "charset=utf-8\r\n\r\n"
      "one\r\n--\r\n--C\r\n\r\n--B\r\ncontent-disposition: form-data; name=empty\r\n\r\n\r\n--B--\r\nepilogue";
  for (std::size_t piece = 1; piece <= upload.size(); ++piece) {
    std::vector<std::string> bodies;
    std::vector<kairos::PartHeader> headers;
    kairos::MultipartParser parser("B", {.begin =
                                             [&](const kairos::PartHeader& header) {
                                               headers.push_back(header);
                                               bodies.emplace_back();
                                               return setget::Result<void>();
                                             },
                                         .data =
                                             [&](std::string_view bytes) {
                                               bodies.back() += bytes;
                                               return setget::Result<void>();
                                             },
                                         .end = [] { return setget::Result<void>(); }});
    ASSERT_TRUE(read_in_pieces(parser, upload, piece)) << piece;
    ASSERT_EQ(bodies, (std::vector<std::string>{"one\r\n--\r\n--C\r\n", ""})) << piece;
    EXPECT_EQ(headers[0].filename, "a \"b\".csv");
    EXPECT_EQ(headers[0].content_type, "text/csv");
    EXPECT_EQ(headers[1].name, "empty");
  }
}

TEST(Multipart, refuses_an_upload_without_its_closing_boundary) {
  Collected got;
  auto files = kairos::FileProcess::create("multipart/form-data; boundary=B", got.sink());
  ASSERT_TRUE(files);
  ASSERT_TRUE((*files)->feed("--B\r\nContent-Disposition: form-data; name=f; filename=a.csv\r\n\r\nsku\r\n1\r\n"));
  EXPECT_FALSE((*files)->finish());
}

TEST(Multipart, refuses_content_types_without_a_boundary) {
  for (const char* type : {"text/csv", "multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=B"}) {
    EXPECT_FALSE(kairos::boundary_of(type)) << type;
  }
  EXPECT_EQ(kairos::boundary_of("Multipart/Form-Data; charset=x; Boundary=\"a b\"").value(), "a b");
}

TEST(ProductManager, decides_keys_and_counts_money_in_cents) {
  const kairos::ProductManager manager;
  Item item{"a.csv", 3, {{"sku", "S"}, {"ean", "400"}, {"supplier", "acme"}, {"supplier_number", 7}, {"price", "0,1"}}};
  const auto product = manager.enrich(item);
  ASSERT_TRUE(product);
  EXPECT_EQ(product->keys, (std::vector<std::string>{"sku/S", "ean/400", "supplier/acme/7"}));
  EXPECT_EQ(product->document["price_cents"], 10);
  EXPECT_EQ(product->document["currency"], "EUR");
  for (const char* price : {"1.234", "-1", "x", "1,2,3", "99999999999999999999"}) {
    item.fields["price"] = price;
    EXPECT_FALSE(manager.enrich(item)) << price;
  }
  item.fields.erase("sku");
  EXPECT_EQ(manager.enrich(item).error().field(), "sku");
}

}  // namespace
